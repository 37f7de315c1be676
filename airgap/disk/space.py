"""Space on the disk: how much there is, and taking it before it is needed."""

import ctypes
import errno
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from airgap.disk.mounts import find_mount
from airgap.errors import StorageError
from airgap.printable import size_text

__all__ = [
    "enlarge",
    "has_holes",
    "make_shortage",
    "measure_block",
    "measure_free",
    "reserve",
    "round_up",
]

_NOT_SUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_CANNOT_GROW: Final = _NOT_SUPPORTED | {errno.EPERM}
"""What ftruncate answers where a file cannot grow (POSIX allows EINVAL; fusefat says EPERM)."""
_NO_HOLES: Final = re.compile(r"vfat|msdos|exfat|hfs|hfsplus|fuse|fuseblk|fuse\..+")


def measure_free(folder: Path) -> int | None:
    """Return the bytes that are free for files in a folder; None where that is not known.

    Some FUSE file systems do not say, and give zeros for everything.

    Raises:
        OSError: the folder does not exist.
    """
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None


def make_shortage(
    folder: Path, needed: int, free: int, use: str = "", hint: str = ""
) -> StorageError:
    """Return the error for a disk that is too small, before anything is written.

    Args:
        folder: on that disk.
        needed: bytes.
        free: bytes.
        use: what they are for, such as ``" for Python packages"``.
        hint: what else helps than to free space.
    """
    return StorageError(
        f"{folder} needs {size_text(needed, math.ceil)}{use} and has"
        f" {size_text(free, math.floor)} free.",
        f"Free {size_text(needed - free, math.ceil)} and run the same command again{hint}.",
    )


def measure_block(folder: Path) -> int:
    """Return the bytes of the unit in which a folder's file system gives room to a file.

    Raises:
        OSError: the folder does not exist.
    """
    return os.statvfs(folder).f_frsize or 1


def has_holes(folder: Path) -> bool:
    """Tell whether files in a folder may have holes, as far as the system says (Linux).

    FAT and exFAT have none; of file systems that a program provides (FUSE), it is not known.
    """
    mount = find_mount(folder)
    return mount is None or not _NO_HOLES.fullmatch(mount.type)


def round_up(size: int, block: int) -> int:
    """Return the bytes that a file of ``size`` bytes takes in whole blocks."""
    return -(-size // block) * block


def reserve(descriptor: int, size: int) -> None:
    """Make an open file ``size`` bytes long, and take the room for them on the disk.

    Where the file system cannot take room in advance (exFAT, FUSE, NFS before 4.2), the file only
    grows.

    Raises:
        OSError: the disk is full, or refused otherwise. The number is EOPNOTSUPP where a file
            cannot be made longer than what was written to it.
    """
    if not _allocate(descriptor, size):
        enlarge(descriptor, size)


def enlarge(descriptor: int, size: int) -> None:
    """Make an open file ``size`` bytes long, without taking room for them.

    Raises:
        OSError: as ``reserve``.
    """
    try:
        os.ftruncate(descriptor, size)
    except OSError as error:
        if error.errno not in _CANNOT_GROW:
            raise
        raise OSError(
            errno.EOPNOTSUPP, f"files cannot be enlarged there ({error.strerror})"
        ) from error


def _allocate(descriptor: int, size: int) -> bool:
    """Ask for room; return False if the system or file system cannot give it in advance.

    Not with ``posix_fallocate``: where the file system cannot, the C library writes a byte into
    each block instead, which takes long, and reads, which a file that is open for writing refuses.
    """
    while _FALLOCATE is not None and _FALLOCATE(descriptor, size):
        number = ctypes.get_errno()
        if number in _NOT_SUPPORTED:
            return False
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return _FALLOCATE is not None


def _find_fallocate() -> Callable[[int, int], int] | None:
    """Return fallocate(2), from offset 0; None if the C library does not have it (macOS)."""
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if function is None:
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return lambda descriptor, size: int(function(descriptor, 0, 0, size))


_FALLOCATE: Final = _find_fallocate()
"""Linux has it."""
