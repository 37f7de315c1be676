"""How the file system protects files from being changed: read-only mounts, flags, permissions.

All of it is advisory: root can change it.
"""

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Protection", "inspect_protection"]

_GET_FLAGS: Final = 0x80086601  # FS_IOC_GETFLAGS of Linux, as on every 64-bit machine
_IMMUTABLE: Final = 0x10
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Protection:
    """What protects the files below a folder."""

    read_only: bool
    """Whether the file system is mounted so that nothing can be written."""
    free: int
    """Bytes that this user may still write."""
    files: int
    immutable: int
    """How many files have the flag of ``chattr +i``."""
    writable_by_others: tuple[Path, ...]
    """Files and folders that other users than their owner may write to."""
    owners: frozenset[int]
    """The user ids of files and folders."""


def inspect_protection(top: Path) -> Protection:
    """Look at every file below a folder; links are not followed.

    Raises:
        OSError: the folder cannot be read.
    """
    status = os.statvfs(top)
    files = immutable = 0
    writable: list[Path] = []
    owners: set[int] = set()
    for path, mode, owner in _walk(top):
        owners.add(owner)
        if stat.S_ISREG(mode):
            files += 1
            immutable += _is_immutable(path)
        if mode & _WRITABLE_BY_OTHERS and not stat.S_ISLNK(mode):
            writable.append(path)
    return Protection(
        bool(status.f_flag & os.ST_RDONLY),
        status.f_bavail * status.f_frsize,
        files,
        immutable,
        tuple(sorted(writable)),
        frozenset(owners),
    )


def _walk(top: Path) -> Iterator[tuple[Path, int, int]]:
    """Yield each file and folder below one, and itself: path, mode and owner."""
    about = top.lstat()
    yield top, about.st_mode, about.st_uid
    waiting = [top]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                about = entry.stat(follow_symlinks=False)
                yield Path(entry.path), about.st_mode, about.st_uid
                if stat.S_ISDIR(about.st_mode):
                    waiting.append(Path(entry.path))


def _is_immutable(path: Path) -> bool:
    """Tell whether a file has the flag; False where the file system has no such flags."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            flags = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
        finally:
            os.close(descriptor)
        return bool(struct.unpack_from("=I", flags)[0] & _IMMUTABLE)
    return False
