"""Local files, opened so that a hostile medium cannot choose what is read (TRUST: medium)."""

import errno
import fcntl
import glob
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.errors import ConflictError, CorruptError, MissingError, StorageError

__all__ = [
    "PartFile",
    "explain",
    "explained",
    "has_digest",
    "list_names",
    "move",
    "open_regular",
    "read_bounded",
    "read_exactly",
    "remove_abandoned",
    "storage_error",
    "sync",
    "sync_folder",
    "taken",
    "write_atomically",
    "write_together",
]

_PIECE_BYTES: Final = 1024 * 1024
_PART: Final = re.compile(r".+\.[0-9a-f]{16}\.part", re.DOTALL)


@contextmanager
def open_regular(top: Path, name: str) -> Iterator[int]:
    """Open the regular file ``name`` below ``top`` for reading; no part of ``name`` may be a link.

    Raises:
        MissingError: it is not there.
        CorruptError: it, or a folder on the way, is a link, device, FIFO or something else.
        StorageError: it cannot be read.
    """
    *folders, last = name.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for folder in folders:
            opened.append(os.open(folder, flags | os.O_DIRECTORY, dir_fd=opened[-1]))
        # Non-blocking, so that a FIFO is refused rather than waited for.
        opened.append(os.open(last, flags | os.O_NONBLOCK, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
            _refuse(top, name)
        yield opened[-1]
    except OSError as error:
        explain(error, top, name)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def list_names(top: Path, name: str, limit: int) -> list[str]:
    """Return the sorted names in the folder ``name`` below ``top``; no part of it may be a link.

    Raises:
        MissingError: it is not there.
        CorruptError: it is no folder, or holds more than ``limit`` names.
        StorageError: it cannot be read.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        descriptor = os.open(top, flags)
        for folder in name.split("/"):
            above = descriptor
            try:
                descriptor = os.open(folder, flags | os.O_NOFOLLOW, dir_fd=above)
            finally:
                os.close(above)
        try:
            with os.scandir(descriptor) as listing:
                found = [one.name for one in islice(listing, limit + 1)]
        finally:
            os.close(descriptor)
    except OSError as error:
        explain(error, top, name)
    if len(found) > limit:
        raise CorruptError(
            f"{top / name} holds more than {limit:,} names.", "Remove what is not a bundle's."
        )
    return sorted(found)


def read_bounded(top: Path, name: str, limit: int) -> bytes:
    """Read a whole file of at most ``limit`` bytes; raises as ``open_regular``."""
    with open_regular(top, name) as descriptor:
        data = _read(descriptor, limit + 1)
    if len(data) > limit:
        raise CorruptError(
            f"{top / name} is longer than the {limit:,} bytes it may have.", "Copy it again."
        )
    return data


def read_exactly(top: Path, name: str, size: int, memory: BufferPool | None = None) -> Buffer:
    """Read a file that must have exactly ``size`` bytes, into ``memory`` if there is any.

    Raises as ``open_regular``.
    """
    with open_regular(top, name) as descriptor:
        if memory is None:
            data: Buffer = _read(descriptor, size + 1)
        else:
            data = memory.fill(size + 1, partial(_read_into, descriptor))
    found = len(data)
    if found != size:
        if memory:
            memory.give_back(data)
        more = "more than " if found > size else ""
        raise CorruptError(
            f"{top / name} has {more}{min(found, size):,} bytes where {size:,} are needed.",
            "It is cut off or damaged: copy this file from its source again.",
        )
    return data


def has_digest(top: Path, name: str, size: int, digest: bytes) -> bool:
    """Tell whether a file has this size and SHA-256; raises as ``open_regular``."""
    found = hashlib.sha256()
    with open_regular(top, name) as descriptor:
        if os.fstat(descriptor).st_size != size:
            return False
        while piece := os.read(descriptor, _PIECE_BYTES):
            found.update(piece)
    return found.digest() == digest


class PartFile:
    """A file that has another name until it is complete (format §8).

    It is locked while it is written, so that what a killed process left can be told from what
    another process is still writing.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder and the part, after removing parts of this file that nobody writes.

        Raises:
            OSError: the disk refused.
        """
        self._path = path
        _make_folder(path.parent)
        remove_abandoned(path.parent.glob(f"{glob.escape(path.name)}.*.part"))
        self._part, self.file = _open_part(path)

    def publish(self, name: str = "") -> None:
        """Sync, rename (to another name in its folder, if given), sync the folder.

        Raises:
            OSError: the disk refused.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self._part.replace(self._path.with_name(name) if name else self._path)
        self.file.close()
        sync_folder(self._path.parent)

    def discard(self) -> None:
        """Close, and remove the part if it still has its own name."""
        with suppress(OSError):
            self._part.unlink()
        with suppress(OSError):
            self.file.close()


def remove_abandoned(parts: Iterable[Path]) -> None:
    """Remove parts that nobody writes any more, and nothing else that looks a little like them."""
    for part in parts:
        if not _PART.fullmatch(part.name):
            continue
        with suppress(OSError), _opened(part) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def sync(top: Path, name: str) -> None:
    """Make a file that was found whole survive a power cut, as one that was written does.

    Raises:
        StorageError: the disk refused.
    """
    try:
        with _opened(top / name) as descriptor:
            os.fsync(descriptor)
        sync_folder((top / name).parent)
    except OSError as error:
        raise storage_error(error, top / name) from error


def move(source: Path, target: Path) -> None:
    """Rename a file into another folder of the same file system, which is made if need be.

    Raises:
        StorageError: the disk refused.
    """
    with explained(target):
        _make_folder(target.parent)
        source.replace(target)
        sync_folder(target.parent)


def write_atomically(top: Path, name: str, parts: Iterable[Buffer]) -> None:
    """Write a whole file under another name, sync it, and rename it (format §8).

    Raises:
        StorageError: the disk refused; nothing is left behind.
    """
    path = top / name
    try:
        part = PartFile(path)
        try:
            part.file.writelines(parts)
            part.publish()
        finally:
            part.discard()
    except OSError as error:
        raise storage_error(error, path) from error


def taken(parts: list[Buffer]) -> Iterator[Buffer]:
    """Yield all parts and let go of each: what is written need not wait in memory for the sync."""
    parts.reverse()
    while parts:
        yield parts.pop()


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn what the disk refuses within the block into a StorageError about ``path``."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def write_together(top: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Write small files that belong together, the last one last, unless all are there.

    Raises:
        ConflictError: all are there, and several with other content. One alone is written anew.
        StorageError: the disk refused.
    """
    if len(files) > 1 and all((top / name).exists() for name, _ in files):
        if all(read_bounded(top, name, len(data) + 1) == data for name, data in files):
            return
        raise ConflictError(
            f"{top / files[-1][0]} is another signature by this key.",
            "A key speaks once of a bundle; to take it back, revoke the bundle in the site's root.",
        )
    for name, data in files:
        write_atomically(top, name, [data])


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """Say in words what the disk refused."""
    hints = {
        errno.ENOSPC: "Free some space and run the same command again.",
        errno.EDQUOT: "Free some of your quota and run the same command again.",
        errno.EACCES: "Check who owns it, or run this as the right user.",
        errno.EPERM: "Check who owns it, or run this as the right user.",
        errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another disk.",
        errno.EROFS: "Choose a place that can be written.",
        errno.EIO: "The medium may be damaged: clean it, or try another copy.",
    }
    reason = error.strerror or type(error).__name__
    return StorageError(
        f"{path}: {reason}.", hints.get(error.errno or 0, "Check the path and the disk.")
    )


def _read(descriptor: int, limit: int) -> bytes:
    """Read until the end, at most ``limit`` bytes: in one piece, if the file's size is true."""
    pieces: list[bytes] = []
    want = min(os.fstat(descriptor).st_size + 1, limit)
    while limit and (piece := os.read(descriptor, min(want, limit))):
        pieces.append(piece)
        limit -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read_into(descriptor: int, view: memoryview) -> int:
    return os.readv(descriptor, [view])


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    """Make a part of a file, and lock it.

    Another process that looks for parts nobody writes may come between the two, and remove it.
    """
    while True:
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        file = part.open("xb")
        try:
            with suppress(OSError):  # some file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if part.exists():
                return part, file
        except BaseException:
            part.unlink(missing_ok=True)
            file.close()
            raise
        file.close()


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each synced into the one above."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a power cut. Raises OSError if the disk refused."""
    with _opened(folder, os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(path: Path, flags: int = os.O_NOFOLLOW) -> Iterator[int]:
    """Open for reading, without waiting if it turns out to be a FIFO."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse(top: Path, name: str) -> NoReturn:
    raise CorruptError(
        f"{top / name} is not a regular file.",
        "A bundle has plain files only: copy it from its source again.",
    )


def explain(error: OSError, top: Path, name: str) -> NoReturn:
    """Raise what an error means for ``name`` below ``top``: missing, corrupt or storage."""
    if error.errno == errno.ENOENT:
        raise MissingError(
            f"{top / name} is not there.", "Check the path; if it is right, copy the file again."
        ) from error
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
        _refuse(top, name)
    raise storage_error(error, top / name) from error
