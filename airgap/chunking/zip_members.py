"""The members that a zip archive stores without compression: PyTorch, npz, Keras.

The archive's directory, at its end, says where the members are; what it says is a hint like
everything here, and nothing is taken from it but places to cut.
"""

import struct
from collections.abc import Iterator
from typing import Final

from airgap.chunking import npy
from airgap.chunking.pieces import Peekable, Region
from airgap.chunking.sizes import HEAD

__all__ = ["plan"]

_LOCAL: Final = struct.Struct("<4s22xHH")  # magic, lengths of name and extra
_ENTRY: Final = struct.Struct("<4s6xH8xIIHHH8xI")
"""Magic, method, stored and plain size, lengths of name, extra and comment, offset."""
_END: Final = struct.Struct("<4s8xII")  # magic, size and offset of the directory
_END64_PLACE: Final = struct.Struct("<4s4xQ")  # magic, offset of the next one
_END64: Final = struct.Struct("<4s36xQQ")  # magic, size and offset of the directory
_TAIL: Final = 22 + 0xFFFF  # the end of the directory, and the longest comment after it
_STORED: Final = 0
_WIDE: Final = 0xFFFF_FFFF
_WIDE_EXTRA: Final = 1


def plan(file: Peekable) -> list[Region] | None:
    """Return stored members and what lies between them, in order; None if this is no such file."""
    if file.peek(0, 4) != b"PK\3\4":
        return None
    try:
        size, offset = _directory(file)
        if size > HEAD:
            return None
        members = sorted(_members(file, file.peek(offset, size)))
    except (struct.error, ValueError):
        return None
    regions, at = [], 0
    for begin, length, name in members:
        if begin < at or begin + length > file.size:
            return None
        regions.append(Region(begin - at, name=f"before {name}"))
        regions += _contents(file, begin, length, name)
        at = begin + length
    return regions


def _directory(file: Peekable) -> tuple[int, int]:
    """Return size and offset of the directory; raises ValueError or struct.error without one."""
    begin = max(0, file.size - _TAIL)
    tail = file.peek(begin, _TAIL)
    at = tail.rindex(b"PK\5\6")
    _, size, offset = _END.unpack_from(tail, at)
    if _WIDE in {offset, size}:
        magic, place = _END64_PLACE.unpack_from(tail, at - 20)
        if magic == b"PK\6\7":
            _, size, offset = _END64.unpack(file.peek(place, _END64.size))
    return size, offset


def _members(file: Peekable, directory: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield where the data of each stored member begins, its length, and its name."""
    at = 0
    while at < len(directory):
        magic, method, size, plain, names, extras, comments, local = _ENTRY.unpack_from(
            directory, at
        )
        if magic != b"PK\1\2":
            raise ValueError("no directory")
        name_end = at + _ENTRY.size + names
        name = directory[at + _ENTRY.size : name_end].decode(errors="replace")
        if _WIDE in (size, plain, local):
            extra = directory[name_end : name_end + extras]
            size, local = _wide(extra, plain, size, local)
        at = name_end + extras + comments
        if method == _STORED and size:
            _, name_length, extra_length = _LOCAL.unpack(file.peek(local, _LOCAL.size))
            yield local + _LOCAL.size + name_length + extra_length, size, name


def _wide(extra: bytes, plain: int, size: int, local: int) -> tuple[int, int]:
    """Return size and offset of a member, taking from its zip64 field those that are too large."""
    at = 0
    while at < len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _WIDE_EXTRA:
            values = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            found = [next(values) if one == _WIDE else one for one in (plain, size, local)]
            return found[1], found[2]
        at += 4 + length
    raise ValueError("no zip64 field")


def _contents(file: Peekable, begin: int, length: int, name: str) -> Iterator[Region]:
    """Yield a member, in two parts if it is an array."""
    if name.endswith(".npy") and (found := npy.parse_header(file.peek(begin, min(length, 1024)))):
        body, width = found
        if body <= length:
            yield Region(body, name=f"header of {name}")
            yield Region(length - body, width, name)
            return
    yield Region(length, name=name)
