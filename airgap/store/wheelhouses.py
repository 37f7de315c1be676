"""Python packages for one target, in ``wheelhouses/`` of BentoML's home (format §26)."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.digests import digest_file
from airgap.disk.reading import read_small
from airgap.errors import CorruptError
from airgap.format import limits
from airgap.format.files import version_of
from airgap.format.inventory import File, Item
from airgap.format.kinds import WHEELHOUSE
from airgap.format.wheelhouse import (
    LOCK,
    WHEELS,
    Wheelhouse,
    check_wheelhouse,
    decode,
)
from airgap.store.content_kind import ContentKind

__all__ = [
    "StoredWheelhouse",
    "Wheelhouses",
    "find_wheels",
    "list_wheelhouses",
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

    def share_installed(self, item: Item, folder: Path) -> None:
        """Let a wheel that two wheelhouses have be one file, where the file system has links."""
        known = find_wheels()
        for file in item.files:
            source = known.get(file.digest)
            if source is None or not _is_equal(source, file):
                continue
            link = folder / f"{WHEELS}link.part"  # no wheel's name
            with suppress(OSError):
                link.unlink(missing_ok=True)
                os.link(source, link, follow_symlinks=False)
                link.replace(folder / file.path)
            link.unlink(missing_ok=True)


def _is_equal(path: Path, file: File) -> bool:
    try:
        return path.lstat().st_size == file.size and digest_file(path) == file.digest
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class StoredWheelhouse:
    """A wheelhouse on this machine: its folder, and what its ``pylock.toml`` says."""

    folder: Path
    wheelhouse: Wheelhouse

    @property
    def tag(self) -> str:
        """``name:version``."""
        return f"{self.folder.parent.name}:{self.folder.name}"


def list_wheelhouses(requirements: bytes | None = None) -> Iterator[StoredWheelhouse]:
    """Yield the wheelhouses of this machine, the newest first; those that are damaged are not.

    ``requirements`` chooses those of one Bento, by the digest of format §26; None: all.
    """
    kind = Wheelhouses()
    folders = [kind.install_path(name, version).final for name, version in kind.list_tags()]
    folders.sort(key=lambda folder: (folder.stat().st_mtime_ns, str(folder)), reverse=True)
    for folder in folders:
        with suppress(OSError, CorruptError):
            raw = read_small(folder / LOCK, limits.DESCRIPTION_BYTES)
            stored = StoredWheelhouse(folder, decode(raw))
            if stored.tag != f"{stored.wheelhouse.target}:{version_of(raw)}":
                continue
            if requirements in {None, stored.wheelhouse.requirements}:
                yield stored


def find_wheels() -> dict[bytes, Path]:
    """Return the wheels of all wheelhouses of this machine, by SHA-256; they are not compared."""
    return {
        package.sha256: installed.folder / WHEELS / package.file
        for installed in list_wheelhouses()
        for package in installed.wheelhouse.packages
    }
