"""Files that a person names: on the command line, in the environment, in a config file.

They are not waited for, and read within a limit. Links are followed: people keep their config files
behind links. What is allowed beside regular files is what cannot block or go on for ever unseen:
``/dev/null``, and a pipe that the shell has opened for this process (``<(command)``).
"""

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from airgap.disk.descriptors import open_without_waiting

__all__ = [
    "TEXT_BYTES",
    "copy_named",
    "decode_text",
    "open_named",
    "read_file",
    "read_named",
    "read_named_text",
    "require_named",
]

TEXT_BYTES: Final = 1024 * 1024
"""More than any config file, list of host keys or certificates has."""
_INHERITED: Final = re.compile(r"/dev/(?:fd/\d+|stdin)|/proc/self/fd/\d+")
_PIECE_BYTES: Final = 64 * 1024


def open_named(path: Path, flags: int = 0) -> io.FileIO:
    """Open a file for reading, unbuffered.

    Raises:
        OSError: it cannot be opened, or is something else than a file (EINVAL).
    """
    descriptor = open_without_waiting(path, flags)
    try:
        _require_file(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return io.FileIO(descriptor, "rb")


def require_named(path: Path) -> None:
    """Demand that a path is a file, before a library opens it, which would wait for a FIFO.

    Raises:
        OSError: as ``open_named``.
    """
    open_named(path).close()


def read_named(path: Path, limit: int) -> bytes:
    """Read a file of at most ``limit`` bytes.

    Raises:
        OSError: it cannot be read, is something else than a file (EINVAL), or longer (EFBIG).
    """
    with open_named(path) as file:
        return read_file(file, path, limit)


def read_file(file: io.FileIO, path: Path, limit: int) -> bytes:
    """Read an open file of at most ``limit`` bytes; the path is for the error.

    Raises:
        OSError: as ``read_named``.
    """
    pieces, left = [], limit + 1
    while left and (piece := file.read(min(left, _PIECE_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    if not left:
        raise OSError(errno.EFBIG, f"longer than {limit:,} bytes", str(path))
    return b"".join(pieces)


def read_named_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """Read a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: as ``read_named``.
        ValueError: it is not UTF-8.
    """
    return decode_text(read_named(path, limit))


def decode_text(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark or Windows line ends; raises ValueError."""
    return data.decode("utf-8-sig").replace("\r\n", "\n")


@contextmanager
def copy_named(path: Path, limit: int) -> Iterator[str]:
    """Read a file, and give the path of a copy in memory, which nobody else can open or change.

    It is for libraries that take a path, would wait for a FIFO, and read without a limit.

    Raises:
        OSError: as ``read_named``.
    """
    data = read_named(path, limit)
    if not hasattr(os, "memfd_create"):  # not Linux
        yield str(path)
        return
    with os.fdopen(os.memfd_create("airgap"), "wb") as copy:
        copy.write(data)
        copy.flush()
        yield f"/proc/self/fd/{copy.fileno()}"


def _require_file(path: Path, descriptor: int) -> None:
    """Refuse what is not a file; let the reads of an inherited pipe wait for its writer."""
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISFIFO(status.st_mode) and _INHERITED.fullmatch(str(path)):
        os.set_blocking(descriptor, True)
    elif not stat.S_ISREG(status.st_mode) and not _is_null(status):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)
