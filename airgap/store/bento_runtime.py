"""What a Bento on this machine needs beyond models when it runs: packages, Python, variables."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_if_exists
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.inventory import File
from airgap.format.kinds import BENTO
from airgap.format.wheelhouse import is_requirement_file, requirements_digest
from airgap.store.source_tree import scan
from airgap.store.yaml_tree import Node, Scalar, parse_tree, string

__all__ = ["BentoRuntime", "digest_requirements", "read_runtime"]

_VERSION_FILE: Final = "env/python/version.txt"
_VERSION_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class BentoRuntime:
    """What bento.yaml says of running the Bento.

    ``python`` is the version that it was built for, such as ``3.11``; empty if it does not say.
    ``variables`` are the environment variables that must be set before it can start. ``has_gpu``
    tells that one of its services asks for a GPU.
    """

    python: str
    variables: tuple[str, ...]
    has_gpu: bool = False


def digest_requirements(folder: Path) -> bytes:
    """Digest what the Bento in a folder says of its packages, which leads to its wheelhouse (§26).

    Raises:
        StorageError: a file cannot be read, or has a device or a link that leads out of the folder.
    """
    files = [file for file in scan(folder).files if is_requirement_file(file.path)]
    with translate_errors(folder):
        return requirements_digest(
            File(file.path, file.executable, file.size, digest_file(folder / file.path), ())
            for file in files
        )


def read_runtime(folder: Path) -> BentoRuntime:
    """Read the bento.yaml of the Bento in a folder.

    Raises:
        CorruptError: it is malformed.
        StorageError: it cannot be read.
    """
    path = folder / BENTO.description
    with translate_errors(path):
        raw = read_if_exists(path, limits.DESCRIPTION_BYTES) or b""
        version = read_if_exists(folder / _VERSION_FILE, _VERSION_BYTES) or b""
    try:
        tree = parse_tree(raw)
    except ValueError as error:
        raise CorruptError(
            f"{path} is malformed: {error}.", "Import the Bento again, with --replace."
        ) from error
    python = version.decode(errors="replace").strip()
    python = python or _read_text(_get(tree, "image"), "python_version").strip()
    short = ".".join(python.split(".")[:2])
    return BentoRuntime(short, tuple(_list_variables(tree)), has_gpu=_has_gpu(tree))


def _has_gpu(tree: Node) -> bool:
    """Tell whether a service asks for a GPU: by number or by kind (as BentoML's ``resources``)."""
    services = _get(tree, "services")
    for service in services if isinstance(services, list) else ():
        resources = _get(_get(service, "config"), "resources")
        if _read_text(resources, "gpu") not in ("", "0") or _read_text(resources, "gpu_type"):
            return True
    return False


def _list_variables(tree: Node) -> Iterator[str]:
    """Yield the variables that have no value, and are not only for the build (as BentoML does)."""
    envs = _get(tree, "envs")
    for entry in envs if isinstance(envs, list) else ():
        name = _read_text(entry, "name")
        if name and not _read_text(entry, "value") and _read_text(entry, "stage") != "build":
            yield name


def _get(node: Node | None, name: str) -> Node | None:
    return node.get(string(name)) if isinstance(node, dict) else None


def _read_text(node: Node | None, name: str) -> str:
    value = _get(node, name)
    return value.text if isinstance(value, Scalar) and value.type != "null" else ""
