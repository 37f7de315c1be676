"""Python packages for one target, in ``wheelhouses/`` of BentoML's home (format §26)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import read_small
from airgap.errors import AirgapError, CorruptError
from airgap.format import limits
from airgap.format.files import version_of
from airgap.format.inventory import Item
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import (
    LOCK,
    TOOLS,
    WHEELS,
    Wheelhouse,
    check_wheelhouse,
    decode,
)
from airgap.store.content_kind import ContentKind, link_equal_files
from airgap.store.item_kind import NOTHING_STAGED

__all__ = [
    "StoredWheelhouse",
    "Wheelhouses",
    "find_wheelhouses",
    "find_wheels",
    "list_wheelhouses",
    "read_wheelhouse",
]


class Wheelhouses(ContentKind):
    """Wheelhouses, found by what a Bento says of its packages."""

    rules = WHEELHOUSE
    folder = "wheelhouses"
    searched_suffixes = ()  # others made and published what is in it

    @staticmethod
    def check_content(item: Item, description: bytes) -> None:
        """Compare every wheel with ``pylock.toml``; see ``check_wheelhouse``."""
        check_wheelhouse(item, description)

    def share_installed(
        self, item: Item, folder: Path, staged: Mapping[bytes, str] = NOTHING_STAGED
    ) -> None:
        """Let a wheel that two wheelhouses have be one file, where the file system has links."""
        link_equal_files(item, folder, {**staged, **find_wheels()})


@dataclass(frozen=True, slots=True)
class StoredWheelhouse:
    """A wheelhouse on this machine, whose lock has the digest that its version is (format §26).

    ``raw`` are the bytes of the ``lock``. The files beside it are not compared.
    """

    folder: Path
    lock: Wheelhouse
    raw: bytes

    @property
    def tag(self) -> str:
        """``name:version``, which pins everything in it."""
        return f"{self.folder.parent.name}:{self.folder.name}"


def read_wheelhouse(name: str, version: str) -> StoredWheelhouse:
    """Read the lock of an installed wheelhouse, and compare it with the tag.

    Raises:
        CorruptError: it differs, or breaks a rule of its format.
        StorageError: it cannot be read.
    """
    folder = Wheelhouses().install_path(name, version).final
    with translate_errors(folder / LOCK):
        raw = read_small(folder / LOCK, limits.DESCRIPTION_BYTES)
    if version_of(raw) != version:
        raise CorruptError(
            f"{folder / LOCK} is damaged (SHA-256 begins with {version_of(raw)}, expected"
            f" {version}).",
            "Import the bundle that brought it again, with --replace.",
        )
    lock = decode(raw)
    if str(lock.target) != name:
        raise CorruptError(
            f"{folder / LOCK} is for {lock.target}, not for {name}.",
            "The folder was renamed: restore its name.",
        )
    return StoredWheelhouse(folder, lock, raw)


def list_wheelhouses(
    requirements: bytes | None = None, on_damage: Callable[[AirgapError], None] | None = None
) -> Iterator[StoredWheelhouse]:
    """Yield the wheelhouses of this machine, the newest first; those that are damaged are not.

    Args:
        requirements: chooses those of one Bento, by the digest of format §26; None: all.
        on_damage: gets the error of each that is damaged, which may be the one looked for.
    """
    kind = Wheelhouses()
    for name, version in sorted(kind.list_tags(), key=_measure_age, reverse=True):
        try:
            stored = read_wheelhouse(name, version)
        except AirgapError as error:
            if on_damage is not None:
                on_damage(error)
            continue
        if requirements in {None, stored.lock.requirements}:
            yield stored


def find_wheelhouses(requirements: bytes) -> list[StoredWheelhouse]:
    """Return the wheelhouses of a Bento by the digest of its requirement files, the newest first.

    Raises:
        CorruptError, StorageError: there is none, but one that is damaged and may be the one.
    """
    damaged: list[AirgapError] = []
    found = list(list_wheelhouses(requirements, damaged.append))
    if damaged and not found:
        raise damaged[0]
    return found


def _measure_age(tag: tuple[str, str]) -> tuple[int, str, str]:
    """Return when a wheelhouse was put here, and its tag; 0 if it has just been removed."""
    with suppress(OSError):
        return Wheelhouses().install_path(*tag).final.stat().st_mtime_ns, *tag
    return 0, *tag


def find_wheels() -> dict[bytes, Path]:
    """Return the wheels of all wheelhouses of this machine, by SHA-256; they are not compared.

    Those of tools are among them.
    """
    wheels: dict[bytes, Path] = {}
    for stored in list_wheelhouses():
        for package in stored.lock.packages:
            wheels[package.sha256] = stored.folder / WHEELS / package.file
        for tool in stored.lock.tools:
            wheels[tool.sha256] = stored.folder / TOOLS / tool.file
    return wheels
