"""Items being put together outside the stores, on the same file system, under safe names.

A staged item is a folder that will be renamed into place. What an import that was cut off has left
there is used again by the next import of the same bundle, chunk by chunk, after hashing it.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from airgap.format.inventory import File, Folder, Item, Link
from airgap.store.places import Place

__all__ = ["StagedItem", "remove_staging", "staging_folder", "sync_tree"]

_FILE_MODE: Final = 0o644
_EXECUTABLE_MODE: Final = 0o755


def staging_folder(place: Place, bundle: str) -> Path:
    """Return where the items of a bundle are staged for a store."""
    return place.private / "staging" / bundle


def remove_staging(place: Place, bundle: str) -> None:
    """Remove a bundle's staging, and the folders above it if they are empty."""
    with suppress(FileNotFoundError):
        shutil.rmtree(staging_folder(place, bundle))
    for folder in (place.private / "staging", place.private):
        with suppress(OSError):
            folder.rmdir()


class StagedItem:
    """One item being staged."""

    def __init__(self, item: Item, place: Place, bundle: str) -> None:
        """Name the folder; nothing is written yet."""
        self.item = item
        self.place = place
        self.folder = staging_folder(place, bundle) / item.kind / item.name / item.version

    def begin(self) -> None:
        """Make all folders of the item, so that writing files needs no more."""
        folders = {self.folder}
        for entry in self.item.entries:
            path = self.folder / entry.path
            folders.add(path if isinstance(entry, Folder) else path.parent)
        for folder in sorted(folders):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, file: File, offset: int, data: bytes) -> None:
        """Write bytes of a file at their offset. Files of one piece are written in one go."""
        path = self.folder / file.path
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, _FILE_MODE)
        try:
            if len(data) < file.size:
                _reserve(descriptor, file.size)
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
        finally:
            os.close(descriptor)

    def read_back(self, file: File, lengths: list[int]) -> Iterator[bytes]:
        """Yield a staged file's pieces of the given lengths; a shorter one, or none, at its end."""
        try:
            with (self.folder / file.path).open("rb") as stream:
                for length in lengths:
                    yield stream.read(length)
        except FileNotFoundError:
            return

    def finish(self) -> None:
        """Give files their exact size and mode, and make the links."""
        for entry in self.item.entries:
            path = self.folder / entry.path
            if isinstance(entry, Link):
                path.unlink(missing_ok=True)
                path.symlink_to(entry.target)
            elif isinstance(entry, File):
                if entry.size == 0:
                    path.touch()
                os.truncate(path, entry.size)
                path.chmod(_EXECUTABLE_MODE if entry.executable else _FILE_MODE)

    def take_over_neighbours(self) -> None:
        """Bring along what lies beside the item where more may (a fuller snapshot)."""
        old = self.place.final
        if self.place.may_hold_more and old.is_dir():
            shutil.copytree(
                old,
                self.folder,
                symlinks=True,
                dirs_exist_ok=True,
                copy_function=_copy_if_absent,
            )


def sync_tree(folder: Path) -> None:
    """Make everything below a folder survive a power cut: once for its whole file system."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _SYNCFS is None:
            os.sync()
        elif _SYNCFS(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    """Give a file its size at once, so that a full disk shows before the data is written."""
    if os.fstat(descriptor).st_size == size:
        return
    with suppress(AttributeError):  # not on macOS
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            os.ftruncate(descriptor, size)


def _copy_if_absent(source: str, target: str) -> str:
    if not os.path.lexists(target):
        shutil.copy2(source, target, follow_symlinks=False)
    return target


_NOT_SUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_SYNCFS: Final[Callable[[int], int] | None] = getattr(
    ctypes.CDLL(None, use_errno=True),
    "syncfs",
    None,  # Linux
)
