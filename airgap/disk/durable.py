"""Writes that survive a power cut: files, and the names in folders."""

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from airgap.disk.descriptors import open_without_waiting
from airgap.disk.labels import adopt_type
from airgap.disk.os_errors import translate_errors
from airgap.disk.permissions import set_mode
from airgap.errors import StorageError

__all__ = [
    "append",
    "extend",
    "flush",
    "make_folder",
    "move_file",
    "overwrite",
    "replace_file",
    "sync_file",
    "sync_file_system",
    "sync_folder",
]


_APPEND: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def flush(file: IO[bytes]) -> None:
    """Bring what was written to an open file onto the disk. Raises OSError if it refused."""
    file.flush()
    os.fsync(file.fileno())


def sync_file(top: Path, name: str) -> None:
    """Make a complete file that others wrote survive a power cut, as one that was written here.

    Raises:
        StorageError: the disk refused.
    """
    with translate_errors(top / name):
        _sync(open_without_waiting(top / name, os.O_NOFOLLOW))
        sync_folder((top / name).parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises OSError if the disk refused."""
    _sync(open_without_waiting(folder, os.O_DIRECTORY))


def sync_file_system(folder: Path) -> None:
    """Make everything below a folder survive a power cut: once for its whole file system.

    Raises:
        OSError: the disk refused.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _SYNCFS is None:
            os.sync()
        elif _SYNCFS(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it, each with ``mode`` and synced into the one above.

    Raises:
        OSError: the disk refused.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    folder.mkdir(mode, exist_ok=True)
    sync_folder(folder.parent)


def move_file(source: Path, target: Path) -> None:
    """Rename a file into another folder of the same file system, which is made if need be.

    Raises:
        StorageError: the disk refused.
    """
    with translate_errors(target):
        make_folder(target.parent)
        source.replace(target)
        sync_folder(target.parent)


def replace_file(
    path: Path, data: bytes, part: Path | None = None, mode: int | None = None
) -> None:
    """Give a small file other content: all of it or none, even if the power fails.

    It is written under the name ``part`` first, of which there must be one writer at a time. What
    has that name, and be it a link, is removed. The file gets the permission bits ``mode``; None:
    by the umask.

    Raises:
        StorageError: SELinux does not permit to label it as its folder.
        OSError: the disk refused; the part is removed.
    """
    part = part or path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            if mode is not None:
                set_mode(file.fileno(), mode)  # first: what is written may be secret
            file.write(data)
            if part.parent != path.parent:
                adopt_type(part, path.parent)
            flush(file)
        part.replace(path)
    except (OSError, StorageError):
        with suppress(OSError):  # the disk that was too full needs the space
            part.unlink()
        raise
    sync_folder(path.parent)


def append(path: Path, size: int, data: bytes) -> None:
    """Write ``data`` after the first ``size`` bytes of a file, and cut off what follows.

    Raises:
        OSError: the disk refused; the file has ``size`` bytes.
    """
    descriptor = os.open(path, _APPEND)
    try:
        if os.fstat(descriptor).st_size > size + len(data):
            os.ftruncate(descriptor, size)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], size + written)
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def extend(path: Path, size: int, data: bytes) -> None:
    """Append to a file that has exactly ``size`` bytes; nothing if it has others. Not synced.

    Raises:
        OSError: there is no such file, or the disk refused.
    """
    descriptor = os.open(path, _APPEND)
    try:
        if os.fstat(descriptor).st_size == size:
            os.pwrite(descriptor, data, size)
    finally:
        os.close(descriptor)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write ``data`` over what a file has from ``offset`` on.

    Raises:
        OSError: the disk refused; what the file has there is then unknown.
    """
    descriptor = os.open(path, _APPEND)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    """Sync an open file or folder, and close it."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_SYNCFS: Final[Callable[[int], int] | None] = getattr(
    ctypes.CDLL(None, use_errno=True), "syncfs", None
)
"""Linux has it."""
