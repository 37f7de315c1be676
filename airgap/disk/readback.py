"""Reads back what was written from the medium itself, not from the system's cache."""

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.reading import open_regular

__all__ = ["digest_on_medium"]

_PIECE_BYTES: Final = 1024 * 1024
_PAST_CACHE: Final = getattr(os, "O_DIRECT", 0)
_F_NOCACHE: Final = 48  # macOS


def digest_on_medium(
    top: Path, name: str, advance: Callable[[int], None] = lambda _: None
) -> bytes:
    """Return the SHA-256 of a file as the medium has it, past the system's cache where possible.

    ``advance`` gets the number of bytes of each piece that was read.

    Linux reads with O_DIRECT; where a file system cannot do that (FUSE, tmpfs), the file's pages
    are dropped first. macOS reads with F_NOCACHE.

    Raises:
        MissingError, CorruptError, StorageError: as ``open_regular``.
    """
    with translate_errors(top / name), open_regular(top, name) as descriptor:
        os.fsync(descriptor)
        _drop(descriptor)
        digest = hashlib.sha256()
        try:
            for piece in _pieces(_bypassing(top / name)):
                digest.update(piece)
                advance(len(piece))
        except OSError:
            digest = hashlib.sha256()
            for piece in _pieces(os.dup(descriptor)):
                digest.update(piece)
                advance(len(piece))
    return digest.digest()


def _bypassing(path: Path) -> int:
    """Open a file for reading past the cache. Raises OSError where that is not possible."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | _PAST_CACHE)


def _drop(descriptor: int) -> None:
    """Ask the system to drop its cached pages of a file."""
    with suppress(AttributeError, OSError):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    if not hasattr(os, "posix_fadvise"):
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(descriptor, _F_NOCACHE, 1)


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Yield a file's bytes through one aligned buffer, as O_DIRECT demands; close it."""
    try:
        at, size = 0, os.fstat(descriptor).st_size
        with closing(mmap.mmap(-1, _PIECE_BYTES)) as buffer:
            while at < size and (count := os.preadv(descriptor, [buffer], at)):
                yield buffer[:count]
                at += count
    finally:
        os.close(descriptor)
