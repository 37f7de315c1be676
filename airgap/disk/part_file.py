"""Files that have another name until they are complete (format §8)."""

import glob
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from airgap.codec.buffer import Buffer
from airgap.disk import durable, locks
from airgap.disk.descriptors import open_without_waiting
from airgap.disk.os_errors import translate_errors
from airgap.disk.permissions import set_mode, set_owner
from airgap.disk.reading import read_bounded
from airgap.disk.sharing import is_shared
from airgap.errors import ConflictError

__all__ = [
    "PartFile",
    "drain",
    "measure_abandoned",
    "remove_abandoned",
    "write_atomically",
    "write_together",
]

_PART: Final = re.compile(r".+\.[0-9a-f]{16}\.part", re.DOTALL)
_RESUMED: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PartFile:
    """A file that has another name until it is complete (format §8).

    It is locked while it is written: so a part that a killed process left is distinguished from one
    that another process is still writing.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Make the folder and the part, and remove abandoned parts of this file.

        With ``resume``, the longest of these takes the place of a new part, if it could be one that
        this process has made (format §9). ``size`` is the bytes that it has; what they are is not
        known.

        Raises:
            OSError: the disk refused.
        """
        self._path = path
        self.size = 0
        durable.make_folder(path.parent)
        if not resume:
            remove_abandoned(_list_parts(path))
        self._part, self.file = _open_part(path)
        if resume:
            self._adopt()
            remove_abandoned(_list_parts(path))

    @property
    def part(self) -> Path:
        """Its path until it is complete."""
        return self._part

    def _adopt(self) -> None:
        """Go on with the longest abandoned part, if there is one."""
        new = os.fstat(self.file.fileno())
        others = (part for part in _list_parts(self._path) if part != self._part)
        adopted = [found for part in others if (found := _open_abandoned(part, new))]
        adopted.sort(key=lambda found: os.fstat(found[1].fileno()).st_size)
        if adopted:
            self.discard()
            self._part, self.file = adopted.pop()
            self.size = os.fstat(self.file.fileno()).st_size
        for _, file in adopted:
            file.close()

    def publish(self, name: str = "", *, is_spool: bool = False) -> None:
        """Sync, rename (to another name in its folder, if given), sync the folder.

        A spool is only flushed: nobody looks for it after a power cut.

        Raises:
            OSError: the disk refused.
        """
        if is_spool:
            self.file.flush()
        else:
            durable.flush(self.file)
        self._part.replace(self._path.with_name(name) if name else self._path)
        self.file.close()
        if not is_spool:
            durable.sync_folder(self._path.parent)

    def leave(self) -> None:
        """Close; the part stays, for a process that resumes."""
        with suppress(OSError):
            self.file.close()

    def discard(self) -> None:
        """Close, and remove the part if it still has its own name."""
        with suppress(OSError):
            self._part.unlink()
        with suppress(OSError):
            self.file.close()


def measure_abandoned(path: Path) -> int:
    """Return the bytes on the disk of the abandoned parts of a file: they go, or are gone on with.

    Parts that cannot be looked at count as nothing.
    """
    size = 0
    for part in _list_parts(path):
        with suppress(OSError):
            descriptor = open_without_waiting(part, os.O_NOFOLLOW)
            try:
                if not locks.is_held(descriptor):
                    size += 512 * os.fstat(descriptor).st_blocks
            finally:
                os.close(descriptor)
    return size


def remove_abandoned(parts: Iterable[Path]) -> None:
    """Remove parts that no process writes any more, and nothing else that resembles them."""
    for part in parts:
        if not _PART.fullmatch(part.name):
            continue
        with suppress(OSError):
            descriptor = open_without_waiting(part, os.O_NOFOLLOW)
            try:
                if not locks.is_held(descriptor):
                    part.unlink()
            finally:
                os.close(descriptor)


def write_atomically(
    top: Path,
    name: str,
    parts: Iterable[Buffer],
    *,
    like: os.stat_result | None = None,
    mode: int | None = None,
) -> None:
    """Write a file under another name, sync it, and rename it (format §8).

    It gets the owner, the group and the permission bits of ``like``, as far as this user may give
    them; without that the permission bits ``mode``; without both, those of the umask.

    Raises:
        StorageError: the disk refused; nothing is left behind.
    """
    path = top / name
    with translate_errors(path):
        part = PartFile(path)
        try:
            part.file.writelines(parts)
            if like is not None:
                set_owner(part.file.fileno(), like)
                mode = stat.S_IMODE(like.st_mode)
            if mode is not None:
                set_mode(part.file.fileno(), mode)
            part.publish()
        finally:
            part.discard()


def write_together(top: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Write small files that belong together, the last one last, unless all exist.

    Raises:
        ConflictError: all exist, and several with other content. A single file is overwritten.
        StorageError: the disk refused.
    """
    if len(files) > 1 and all((top / name).exists() for name, _ in files):
        if all(read_bounded(top, name, len(data) + 1) == data for name, data in files):
            return
        raise ConflictError(
            f"{top / files[-1][0]} is another signature by this key.",
            "A key signs a bundle once; to withdraw the signature, revoke the bundle in the root.",
        )
    for name, data in files:
        write_atomically(top, name, [data])


def drain(parts: list[Buffer]) -> Iterator[Buffer]:
    """Yield all parts and drop each from the list, so that written ones need no memory any more."""
    parts.reverse()
    while parts:
        yield parts.pop()


def _list_parts(path: Path) -> list[Path]:
    parts = path.parent.glob(f"{glob.escape(path.name)}.*.part")
    return [part for part in parts if _PART.fullmatch(part.name)]


def _open_abandoned(part: Path, new: os.stat_result) -> tuple[Path, BinaryIO] | None:
    """Open and lock a part that no process writes; None unless it is like a ``new`` one.

    Of a file with another owner, other permissions or a second name, or one that others may write
    to, somebody else could change the bytes after they were compared.
    """
    with suppress(OSError):
        if not _is_alike(part.lstat(), new):  # what is not a regular file is not opened
            return None
        descriptor = os.open(part, _RESUMED)
        status = os.fstat(descriptor)
        if (
            _is_alike(status, new)
            and not _is_writable_by_others(status, part.parent)
            and locks.try_lock(descriptor)
            and os.path.samestat(part.lstat(), status)  # not removed or renamed before the lock
        ):
            return part, os.fdopen(descriptor, "r+b")
        os.close(descriptor)
    return None


def _is_alike(status: os.stat_result, new: os.stat_result) -> bool:
    kind = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink)
    return stat.S_ISREG(status.st_mode) and kind == (new.st_mode, new.st_uid, new.st_gid, 1)


def _is_writable_by_others(status: os.stat_result, folder: Path) -> bool:
    """Tell whether others may write to a file: all users, or a group that the folder is not of."""
    if status.st_mode & stat.S_IWGRP and not status.st_mode & stat.S_IWOTH:
        return not (is_shared(folder) and status.st_gid == folder.stat().st_gid)
    return bool(status.st_mode & stat.S_IWOTH)


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """Make a part of a file, and lock it.

    Another process that looks for abandoned parts may come between the two, and remove it.
    """
    while True:
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        file = part.open("x+b")
        try:
            with suppress(OSError):  # some file systems have no locks
                locks.lock(file.fileno())
            if part.exists():
                return part, file
        except BaseException:
            part.unlink(missing_ok=True)
            file.close()
            raise
        file.close()
