"""Bundles in a folder tree, found by their names; nothing is opened, no link is followed."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.format import layout, limits, names

__all__ = ["UNFINISHED", "DiscoveredBundle", "find", "stamp"]

UNFINISHED: Final = ".unfinished"
"""Ends the name of an upload that was sent under its final name, until it is known to be whole."""


@dataclass(frozen=True, slots=True)
class DiscoveredBundle:
    """A ``.airgap`` file, or a bundle of the depot at ``path``."""

    path: Path
    bundle: str = ""

    @property
    def place(self) -> str:
        """What `airgap import` calls it."""
        return f"{self.path}#{self.bundle}" if self.bundle else str(self.path)

    @property
    def folder(self) -> Path:
        """The folder of a depot's bundle."""
        return self.path / layout.BUNDLES / self.bundle


def find(
    top: Path, endings: tuple[str, ...] = (layout.ARCHIVE_SUFFIX,)
) -> Iterator[DiscoveredBundle]:
    """Yield what lies in a folder and below, in the order of names.

    Folders deeper than a path may be (format §2.3) and names beyond ``limits.FOLDER_NAMES`` are
    not looked at: whoever fills the folder does not decide how long that takes.
    """
    left = limits.FOLDER_NAMES
    for here, folders, files in os.walk(top):
        folder = Path(here)
        left -= len(folders) + len(files)
        if left < 0:
            return
        for name in sorted(files):
            if name.endswith(endings) and not name.startswith(".") and _is_regular(folder / name):
                yield DiscoveredBundle(folder / name)
        if layout.BUNDLES in folders:
            yield from _bundles(folder)
            folders[:] = [one for one in folders if one not in (layout.BUNDLES, layout.PACKS)]
        if len(folder.relative_to(top).parts) >= limits.PATH_PARTS:
            folders.clear()
        folders.sort()


def stamp(thing: DiscoveredBundle, packs: Iterable[str] = ()) -> str:
    """Return a text that changes whenever the thing does, as far as the file system tells.

    Times are compared, never trusted: it is a change that counts, not what the clock said.
    """
    paths = [thing.path]
    if thing.bundle:
        try:
            below = sorted(one.name for one in thing.folder.iterdir())
        except OSError:
            below = []
        paths = [*(thing.folder / name for name in below), *(thing.path / name for name in packs)]
    seen = hashlib.sha256()
    for path in paths:
        try:
            found = path.lstat()
        except OSError:
            continue
        about = (path.name, found.st_ino, found.st_size, found.st_mtime_ns)
        seen.update(repr(about).encode(errors="surrogateescape"))
    return seen.hexdigest()[:32]


def _bundles(depot: Path) -> Iterator[DiscoveredBundle]:
    """Yield the bundles of a depot that have a manifest: it comes last (format §8)."""
    try:
        listed = sorted(one.name for one in (depot / layout.BUNDLES).iterdir())
    except OSError:
        return
    for name in listed:
        manifest = depot / layout.BUNDLES / name / layout.MANIFEST
        if names.is_bundle_id(name) and _is_regular(manifest):
            yield DiscoveredBundle(depot, name)


def _is_regular(path: Path) -> bool:
    """Tell whether this is a file, and no link, and no pipe that would be waited for."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
