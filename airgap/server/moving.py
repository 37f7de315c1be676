"""Moves a bundle out of a folder that others can write to, so that a kill loses nothing.

A sender may replace the bundle at any moment. So it gets a private name first, and is compared
then: what takes its name afterwards is another bundle. No link is followed.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from airgap.disk.descriptors import open_part, open_without_waiting, publish_part
from airgap.disk.durable import flush
from airgap.disk.space import make_shortage
from airgap.errors import AirgapError
from airgap.format import limits

__all__ = ["FolderEntry", "Move", "write_file"]

_NAME_BYTES: Final = 255
_TRIES: Final = 100
_PIECE_BYTES: Final = 64 * 1024
_TOO_DEEP: Final = "It has too many folders in each other"
_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A name in an open folder."""

    folder: int
    name: str

    @property
    def status(self) -> os.stat_result | None:
        """The status of what has the name, and be it a link; None if nothing has it."""
        with suppress(FileNotFoundError):
            return os.lstat(self.name, dir_fd=self.folder)
        return None

    @property
    def exists(self) -> bool:
        """Whether anything has the name, and be it a link that leads nowhere."""
        return self.status is not None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, and not a link to one."""
        status = self.status
        return status is not None and stat.S_ISDIR(status.st_mode)

    def give_name(self, target: "FolderEntry") -> None:
        """Rename, if nothing has the other name in the same folder.

        Raises:
            FileExistsError: something has it.
            OSError: the disk refused.
        """
        folders = {"src_dir_fd": self.folder, "dst_dir_fd": target.folder}
        try:
            os.link(self.name, target.name, **folders, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a folder, or a file system without hard links
            self.rename(target)
        else:
            os.unlink(self.name, dir_fd=self.folder)

    def rename(self, target: "FolderEntry") -> None:
        """Give another name, in another folder perhaps, in place of what has it. Raises OSError."""
        os.rename(self.name, target.name, src_dir_fd=self.folder, dst_dir_fd=target.folder)

    def remove(self) -> None:
        """Remove what is there, with all that is below it. Raises OSError."""
        if self.is_folder:
            try:
                shutil.rmtree(self.name, dir_fd=self.folder)
            except RecursionError:
                raise OSError(errno.ENAMETOOLONG, _TOO_DEEP) from None
        elif self.exists:
            os.unlink(self.name, dir_fd=self.folder)

    def find_free(self) -> "FolderEntry":
        """Return the entry itself if nothing is there; else one with a number before the name."""
        number, entry = 1, self
        while entry.exists:
            number += 1
            prefix = f"{number}.".encode()
            rest = os.fsencode(self.name)[len(prefix) - _NAME_BYTES :]
            entry = FolderEntry(self.folder, os.fsdecode(prefix + rest))
        return entry


@dataclass(frozen=True, slots=True)
class Move:
    """The move of a bundle from ``source`` to ``target``, whose folders may be on two disks.

    ``replace``: whether what has the target's name is removed; else a free name is taken.
    ``target_path`` is the path of the target's folder, for messages.
    ``mark``: random, for names that nothing else has. ``copied_to``: the final name of a copy, if
    it was last saved with ``save_copied_to``; "" if none was, or the copy was removed.
    """

    source: FolderEntry
    target: FolderEntry
    target_path: Path
    replace: bool
    mark: str
    is_unchanged: Callable[[FolderEntry], bool]
    save_copied_to: Callable[[str], None]
    copied_to: str = ""

    @property
    def _private(self) -> FolderEntry:
        return FolderEntry(self.source.folder, f".airgap-{self.mark}")

    @property
    def _part(self) -> FolderEntry:
        return FolderEntry(self.target.folder, f".airgap-{self.mark}.part")

    def run(self) -> bool:
        """Move the bundle; return False if another one has its name, which then stays there.

        After a kill, the same move again finishes it.

        Raises:
            OSError: the disk refused; the bundle has its name again, unless it was copied.
            StorageError: the other disk is too small; the bundle has its name again.
            AirgapError: the name of the copy cannot be saved; the bundle has its name again.
        """
        if self._private.exists:
            is_done = self._was_copied()
        elif self.source.exists:
            self.source.rename(self._private)
            is_done = False
        else:
            return True  # an earlier process has moved it, or its sender has removed it
        if not is_done and not self._try_to_publish():
            self._put_back()
            return False
        os.fsync(self.target.folder)
        self._private.remove()
        os.fsync(self.source.folder)
        return True

    def _was_copied(self) -> bool:
        """Tell whether an earlier process gave a whole copy its final name.

        It had the part's name before, which is on the disk before the final name is saved.
        """
        if not self.copied_to or self._part.exists:
            return False
        return FolderEntry(self.target.folder, self.copied_to).exists

    def _try_to_publish(self) -> bool:
        """Publish the bundle if it is the one that was imported; after an error, put it back."""
        try:
            return self.is_unchanged(self._private) and self._publish()
        except (AirgapError, OSError):
            with suppress(OSError):
                self._put_back()
            raise

    def _publish(self) -> bool:
        """Rename the bundle into the target's folder, or copy it; False if it changes meanwhile."""
        final = self.target if self.replace else self.target.find_free()
        if self.replace:
            final.remove()
        try:
            self._private.rename(final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._remove_part()
            limit = _Limit(_measure(self._private))
            self._demand_space(limit.left)
            if not self.is_unchanged(self._private):
                return False
            try:
                _copy(self._private, self._part, limit)
            except _GrownError:
                return False
            if not self.is_unchanged(self._private):
                return False
            os.fsync(self.target.folder)
            self.save_copied_to(final.name)
            self._part.rename(final)
        return True

    def _demand_space(self, size: int) -> None:
        """Refuse a copy that does not fit: a sparse file may be longer than any disk.

        Raises:
            StorageError: the target's disk has less free.
        """
        usage = os.fstatvfs(self.target.folder)
        free = usage.f_bavail * usage.f_frsize
        if usage.f_blocks and size > free:  # some FUSE file systems do not say
            raise make_shortage(self.target_path, size, free, f" for {self.source.name}")

    def _remove_part(self) -> None:
        """Remove the copy; what has its final name afterwards is another bundle.

        Raises:
            AirgapError: that cannot be saved; the part stays.
            OSError: the disk refused.
        """
        if self.copied_to or self._part.exists:
            self.save_copied_to("")
        self._part.remove()

    def _put_back(self) -> None:
        """Give the bundle its name again, or one that is free: the sender may have used it."""
        with suppress(AirgapError):  # then the part stays, and the next try removes it
            self._remove_part()
        for _ in range(_TRIES):
            with suppress(FileExistsError):
                self._private.give_name(self.source.find_free())
                return


def write_file(folder: int, name: str, part: str, data: bytes) -> None:
    """Write a small file into an open folder, under the name ``part`` until it is complete.

    Raises:
        OSError: the disk refused.
    """
    FolderEntry(folder, part).remove()
    descriptor = open_part(folder, part, new=True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        publish_part(folder, descriptor, part, name)


class _GrownError(Exception):
    """A bundle has more bytes than it had when it was measured."""


@dataclass(slots=True)
class _Limit:
    """The bytes that may still be copied: a sender can make an open file as large as one can be."""

    left: int


@dataclass(frozen=True, slots=True)
class _LimitedFile:
    """What ``shutil.copyfileobj`` reads."""

    file: BinaryIO
    limit: _Limit

    def read(self, size: int = _PIECE_BYTES) -> bytes:
        """Read up to ``size`` bytes. Raises _GrownError if there are more than the limit has."""
        data = self.file.read(min(size, self.limit.left + 1))
        if len(data) > self.limit.left:
            raise _GrownError
        self.limit.left -= len(data)
        return data


def _measure(entry: FolderEntry, depth: int = 0) -> int:
    """Return the bytes of a file, or of the files in a folder. Raises OSError as ``_copy``."""
    status = entry.status
    if status is None or not stat.S_ISDIR(status.st_mode):
        return status.st_size if status and stat.S_ISREG(status.st_mode) else 0
    _check_depth(depth)
    descriptor = open_without_waiting(entry.name, _FOLDER, entry.folder)
    try:
        names = _list_names(descriptor)
        return sum(_measure(FolderEntry(descriptor, name), depth + 1) for name in names)
    finally:
        os.close(descriptor)


def _copy(source: FolderEntry, target: FolderEntry, limit: _Limit, depth: int = 0) -> None:
    """Copy a file, or a folder with the files and links in it, and sync it.

    What is neither is left out: a bundle has none of it.

    Raises:
        OSError: the disk refused, or there are too many folders in each other.
        _GrownError: there are more bytes than ``limit`` lets be copied.
    """
    status = source.status
    mode = 0 if status is None else status.st_mode
    if stat.S_ISREG(mode):
        _copy_file(source, target, limit)
    elif stat.S_ISLNK(mode):
        link = os.readlink(source.name, dir_fd=source.folder)
        os.symlink(link, target.name, dir_fd=target.folder)
    elif stat.S_ISDIR(mode):
        _check_depth(depth)
        _copy_folder(source, target, limit, depth)


def _check_depth(depth: int) -> None:
    if depth > limits.PATH_PARTS:
        raise OSError(errno.ENAMETOOLONG, _TOO_DEEP)


def _list_names(folder: int) -> list[str]:
    with os.scandir(folder) as listing:
        return sorted(entry.name for entry in listing)


def _copy_folder(source: FolderEntry, target: FolderEntry, limit: _Limit, depth: int) -> None:
    os.mkdir(target.name, dir_fd=target.folder)
    with ExitStack() as stack:
        folders = [
            open_without_waiting(entry.name, _FOLDER, entry.folder) for entry in (source, target)
        ]
        for descriptor in folders:
            stack.callback(os.close, descriptor)
        for name in _list_names(folders[0]):
            _copy(FolderEntry(folders[0], name), FolderEntry(folders[1], name), limit, depth + 1)
        os.fsync(folders[1])


def _copy_file(source: FolderEntry, target: FolderEntry, limit: _Limit) -> None:
    with (
        os.fdopen(
            open_without_waiting(source.name, os.O_NOFOLLOW, source.folder), "rb"
        ) as original,
        os.fdopen(open_part(target.folder, target.name, new=True), "wb") as copy,
    ):
        if stat.S_ISREG(os.fstat(original.fileno()).st_mode):
            shutil.copyfileobj(_LimitedFile(original, limit), copy)
        flush(copy)
