"""The Python packages that Bentos name, and whether this machine has them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airgap.errors import AirgapError
from airgap.flow.environment.choose import choose
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, WHEELHOUSE
from airgap.format.wheelhouse import is_requirement_file, requirements_digest
from airgap.store.bento_runtime import digest_requirements, read_runtime
from airgap.store.kinds import find_kind
from airgap.store.wheelhouses import find_wheelhouses, list_wheelhouses
from airgap.wheels.bento_requirements import read_folder

__all__ = [
    "NamedPackages",
    "describe_packages",
    "find_packages",
    "list_absent",
    "list_unsupplied",
]


@dataclass(frozen=True, slots=True)
class NamedPackages:
    """How many packages a Bento names, and the wheelhouses that hold them.

    ``wheelhouses`` are tags. ``problem`` says why none of them fits this host; empty if one does.
    """

    bento: str
    count: int
    wheelhouses: tuple[str, ...] = ()
    problem: str = ""


def find_packages(tag: str) -> NamedPackages:
    """Look up what an installed Bento names, and what is here of it.

    Raises:
        UsageError, MissingError: not a tag, or not installed.
        StorageError, CorruptError: a file cannot be read, or is malformed.
    """
    kind = find_kind(BENTO.name)
    name, version = kind.find(tag)
    bento, folder = f"{name}:{version}", kind.install_path(name, version).final
    count = read_folder(folder).count
    wheelhouses = find_wheelhouses(digest_requirements(folder)) if count else []
    tags = tuple(wheelhouse.tag for wheelhouse in wheelhouses)
    problem = ""
    if wheelhouses:
        try:
            choose(bento, wheelhouses, read_runtime(folder).python, None)
        except AirgapError as error:
            problem = error.message
    return NamedPackages(bento, count, tags, problem)


def describe_packages(packages: NamedPackages) -> dict[str, Any]:
    """Return what a Bento names, for JSON."""
    return {
        "bento": packages.bento,
        "packages": packages.count,
        "wheelhouses": list(packages.wheelhouses),
        "problem": packages.problem or None,
    }


def list_unsupplied() -> list[str]:
    """Return the tags of the installed Bentos whose packages are in no wheelhouse here.

    A Bento that cannot be read is left out: it is reported by itself.
    """
    supplied = _list_supplied()
    unsupplied = []
    for name, version in find_kind(BENTO.name).list_tags():
        folder = find_kind(BENTO.name).install_path(name, version).final
        with suppress(AirgapError):
            if read_folder(folder).count and digest_requirements(folder) not in supplied:
                unsupplied.append(f"{name}:{version}")
    return unsupplied


def list_absent(items: Sequence[Item]) -> list[str]:
    """Return the tags of Bentos whose packages are neither among these items nor here.

    A wheelhouse among the items may be of any of them: only its content would tell.
    """
    if any(item.kind == WHEELHOUSE.name for item in items):
        return []
    supplied = _list_supplied()
    return [
        item.tag
        for item in items
        if item.kind == BENTO.name
        and any(is_requirement_file(file.path) for file in item.files)
        and requirements_digest(item.files) not in supplied
    ]


def _list_supplied() -> set[bytes]:
    """Return what leads from Bentos to the wheelhouses here; a damaged one is passed over."""
    return {wheelhouse.lock.requirements for wheelhouse in list_wheelhouses()}
