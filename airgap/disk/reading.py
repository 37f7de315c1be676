"""Files opened so that a hostile medium cannot choose what is read: no links, FIFOs or devices."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Final

from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.disk.descriptors import open_folder, open_without_waiting, walk_to_folder
from airgap.disk.named_files import open_named
from airgap.disk.os_errors import raise_not_regular, raise_translated
from airgap.errors import CorruptError

__all__ = [
    "list_names",
    "open_regular",
    "read_bounded",
    "read_exactly",
    "read_from",
    "read_if_exists",
    "read_open",
    "read_small",
]

_LEAST_READ_BYTES: Final = 64 * 1024
"""What is asked for at once of a file whose size says little, such as a pipe."""


@contextmanager
def open_regular(top: Path, name: str) -> Iterator[int]:
    """Open the regular file ``name`` below ``top`` for reading; no part of ``name`` may be a link.

    Raises:
        MissingError: it does not exist.
        CorruptError: it, or a folder on the way, is a link, device, FIFO or something else.
        StorageError: it cannot be read.
    """
    *folders, last = name.split("/")
    try:
        folder = walk_to_folder(top, folders)
        try:
            descriptor = open_without_waiting(last, os.O_NOFOLLOW, folder)
        finally:
            os.close(folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise_not_regular(top, name)
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise_translated(error, top, name)


def list_names(top: Path, name: str, limit: int) -> list[str]:
    """Return the sorted names in the folder ``name`` below ``top``; no part of it may be a link.

    Raises:
        MissingError: it does not exist.
        CorruptError: it is not a folder, or holds more than ``limit`` names.
        StorageError: it cannot be read.
    """
    try:
        with open_folder(top, name.split("/")) as folder, os.scandir(folder) as listing:
            listed = [entry.name for entry in islice(listing, limit + 1)]
    except OSError as error:
        raise_translated(error, top, name)
    if len(listed) > limit:
        raise CorruptError(
            f"{top / name} holds more than {limit:,} names.",
            "Remove files that do not belong to a bundle.",
        )
    return sorted(listed)


def read_bounded(top: Path, name: str, limit: int) -> bytes:
    """Read a file of at most ``limit`` bytes; raises as ``open_regular``."""
    with open_regular(top, name) as descriptor:
        data = _read(descriptor, limit + 1)
    if len(data) > limit:
        raise CorruptError(
            f"{top / name} is longer than the {limit:,} bytes it may have.", "Copy it again."
        )
    return data


def read_exactly(top: Path, name: str, size: int, memory: BufferPool | None = None) -> Buffer:
    """Read a file that must have exactly ``size`` bytes, into ``memory`` if it is given.

    Raises as ``open_regular``.
    """
    with open_regular(top, name) as descriptor:
        if memory is None:
            data: Buffer = _read(descriptor, size + 1)
        else:
            data = memory.fill(size + 1, partial(_read_into, descriptor))
    count = len(data)
    if count != size:
        if memory:
            memory.give_back(data)
        more = "more than " if count > size else ""
        raise CorruptError(
            f"{top / name} has {more}{min(count, size):,} bytes where {size:,} are needed.",
            "It is cut off or damaged: copy this file from its source again.",
        )
    return data


def read_small(path: Path, limit: int, flags: int = 0) -> bytes:
    """Return a regular file's bytes, at most one more than ``limit``, so that excess shows.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    with open_named(path, flags) as file:
        return read_open(file, limit + 1)


def read_open(file: IO[bytes], limit: int) -> bytes:
    """Read an open file from its beginning until its end, at most ``limit`` bytes.

    Memory is taken by the size that the file has: ``read`` would take as much as the limit, which
    a small memory does not have. Raises OSError.
    """
    return _read(file.fileno(), limit)


def read_if_exists(path: Path, limit: int) -> bytes | None:
    """Return as ``read_small``, following no link; None if the file does not exist.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    try:
        return read_small(path, limit, os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def read_from(path: Path, offset: int, limit: int) -> bytes | None:
    """Return what a regular file has from ``offset`` on, at most one byte more than ``limit``.

    No link is followed; None if the file does not exist. Raises OSError.
    """
    try:
        with open_named(path, os.O_NOFOLLOW) as file:
            pieces, wanted = [], limit + 1
            while wanted and (piece := os.pread(file.fileno(), wanted, offset)):
                pieces.append(piece)
                offset, wanted = offset + len(piece), wanted - len(piece)
            return b"".join(pieces)
    except FileNotFoundError:
        return None


def _read(descriptor: int, limit: int) -> bytes:
    """Read until the end, at most ``limit`` bytes: in one piece, if the file's size is true."""
    pieces: list[bytes] = []
    want = max(os.fstat(descriptor).st_size + 1, _LEAST_READ_BYTES)
    while limit and (piece := os.read(descriptor, min(want, limit))):
        pieces.append(piece)
        limit -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read_into(descriptor: int, view: memoryview) -> int:
    return os.readv(descriptor, [view])
