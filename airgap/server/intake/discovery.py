"""Finds bundles in a folder tree by their names. Opens no file and follows no link."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.descriptors import open_without_waiting
from airgap.errors import StorageError
from airgap.flow.location.location import ArchiveFile, LocalDepot
from airgap.format import layout, limits, names

__all__ = [
    "DiscoveredBundle",
    "UnsearchedFolderError",
    "compute_moved_stamp",
    "compute_stamp",
    "find_bundles",
    "find_last_change",
    "is_real_folder",
]


class UnsearchedFolderError(StorageError):
    """A folder, or what is below it, was not searched for bundles."""


@dataclass(frozen=True, slots=True)
class DiscoveredBundle:
    """A ``.airgap`` file at ``path``, or the bundle ``bundle_id`` of the depot at ``path``."""

    path: Path
    bundle_id: str = ""

    @property
    def location(self) -> LocalDepot | ArchiveFile:
        """The location for an import."""
        return LocalDepot(self.path, self.bundle_id) if self.bundle_id else ArchiveFile(self.path)

    @property
    def folder(self) -> Path:
        """The folder of a depot's bundle, which holds its manifest and signatures."""
        return self.path / layout.BUNDLES / self.bundle_id


def find_bundles(
    top: Path, *, unfinished: str = "", skipped: Path | None = None
) -> Iterator[DiscoveredBundle | UnsearchedFolderError]:
    """Yield the bundles in a folder and below it, sorted by name within each folder.

    Folders deeper than a path may be (format §2.3) and names beyond ``limits.FOLDER_NAMES`` are
    not searched, so that those who fill the folder cannot make the search take arbitrarily long; an
    error says so. Each folder in ``top`` has that many names: who fills one hides no bundle in
    another.

    Args:
        top: the folder to search.
        unfinished: what the names of uploads may end with after ``.airgap``.
        skipped: a folder below that is not searched.
    """
    searched, count = top, 0
    for walked, folders, files in os.walk(top):
        folder = Path(walked)
        folders[:] = sorted(name for name in folders if folder / name != skipped)
        if folder.parent == top:
            searched, count = folder, 0
        was_full = count > limits.FOLDER_NAMES
        count += len(folders) + len(files)
        if count <= limits.FOLDER_NAMES:
            yield from _find_archives(folder, files, unfinished)
            yield from _enter_folders(top, folder, folders)
            continue
        if not was_full:
            yield _make_full_error(searched, count)
        folders.clear()


def compute_stamp(bundle: DiscoveredBundle, packs: Iterable[str] = ()) -> str:
    """Return a digest that changes whenever the file system shows a change to the bundle.

    It covers names, inodes, sizes and times. Times are only compared: the clock may be wrong.
    """
    return _digest_status(_list_status(bundle, packs))


def compute_moved_stamp(
    bundle: DiscoveredBundle, folder: int, name: str, packs: Iterable[str] = ()
) -> str:
    """Return the stamp of a bundle that has another name now, in an open folder."""
    entries: list[tuple[str, os.stat_result]] = []
    with suppress(OSError):
        if bundle.bundle_id:
            entries += _stat_files(folder, name)
        else:
            entries.append((bundle.path.name, os.lstat(name, dir_fd=folder)))
    return _digest_status([*entries, *_stat_paths(bundle.path / pack for pack in packs)])


def _stat_files(above: int, name: str) -> list[tuple[str, os.stat_result]]:
    """Return name and status of all that lies in a folder. Raises OSError."""
    descriptor = open_without_waiting(name, os.O_DIRECTORY | os.O_NOFOLLOW, above)
    try:
        with os.scandir(descriptor) as listing:
            files = sorted(entry.name for entry in listing)
        return [(file, os.lstat(file, dir_fd=descriptor)) for file in files]
    finally:
        os.close(descriptor)


def _digest_status(entries: Iterable[tuple[str, os.stat_result]]) -> str:
    digest = hashlib.sha256()
    for name, status in entries:
        entry = (name, status.st_ino, status.st_size, status.st_mtime_ns)
        digest.update(repr(entry).encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def find_last_change(bundle: DiscoveredBundle) -> float:
    """Return when the file system says that a bundle last changed: seconds since 1970, or 0.

    It is the change time, which a copy that keeps the modification time does not set.
    """
    return max((status.st_ctime for _, status in _list_status(bundle)), default=0.0)


def _list_status(
    bundle: DiscoveredBundle, packs: Iterable[str] = ()
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and status of an archive, or of each file of a depot's bundle and these packs."""
    paths = [bundle.path]
    if bundle.bundle_id:
        try:
            files = sorted(path.name for path in bundle.folder.iterdir())
        except OSError:
            files = []
        paths = [*(bundle.folder / name for name in files), *(bundle.path / name for name in packs)]
    return _stat_paths(paths)


def _stat_paths(paths: Iterable[Path]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and status of each path that exists."""
    for path in paths:
        try:
            yield path.name, path.lstat()
        except OSError:
            continue


def _find_archives(
    folder: Path, files: Iterable[str], unfinished: str
) -> Iterator[DiscoveredBundle]:
    """Yield the ``.airgap`` files among the files of a folder."""
    for name in sorted(files):
        is_archive = layout.is_archive_name(name.removesuffix(unfinished))
        if is_archive and not name.startswith(".") and _is_regular(folder / name):
            yield DiscoveredBundle(folder / name)


def _enter_folders(
    top: Path, folder: Path, folders: list[str]
) -> Iterator[DiscoveredBundle | UnsearchedFolderError]:
    """Yield the bundles of a depot; leave in ``folders`` those that are to be searched."""
    if layout.BUNDLES in folders:
        yield from _find_in_depot(folder)
        folders[:] = [name for name in folders if name not in (layout.BUNDLES, layout.PACKS)]
    if folders and len(folder.relative_to(top).parts) >= limits.PATH_PARTS:
        yield UnsearchedFolderError(
            f"{folder} is {limits.PATH_PARTS} folders below {top}: the folders in it are not"
            " searched.",
            "Move the bundles that are in them up.",
        )
        folders.clear()


def _make_full_error(folder: Path, count: int) -> UnsearchedFolderError:
    return UnsearchedFolderError(
        f"{folder} holds {count:,} names or more, and at most {limits.FOLDER_NAMES:,} are searched:"
        " some of its bundles may not be found.",
        "Remove what does not belong to a bundle, or divide it into several folders.",
    )


def _find_in_depot(depot: Path) -> Iterator[DiscoveredBundle | UnsearchedFolderError]:
    """Yield the bundles of a depot that have a manifest: it is written last (format §8)."""
    bundles = depot / layout.BUNDLES
    if not is_real_folder(bundles):  # a link may lead to a depot that is not this sender's
        return
    try:
        entries = sorted(path.name for path in bundles.iterdir())
    except OSError:
        return
    if len(entries) > limits.FOLDER_NAMES:
        yield _make_full_error(bundles, len(entries))
        return
    for name in entries:
        folder = bundles / name
        is_bundle = names.is_bundle_id(name) and is_real_folder(folder)
        if is_bundle and _is_regular(folder / layout.MANIFEST):
            yield DiscoveredBundle(depot, name)


def is_real_folder(path: Path) -> bool:
    """Tell whether this is a folder, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_regular(path: Path) -> bool:
    """Tell whether this is a regular file: neither a link nor a pipe, which would block."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
