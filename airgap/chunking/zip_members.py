"""The uncompressed members of a zip archive: PyTorch, npz, Keras.

The directory at the archive's end tells where the members are. It is not trusted: it decides only
where the file is cut.
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
_END64_LOCATOR: Final = struct.Struct("<4s4xQ4x")  # magic, offset of the zip64 end record
_END64: Final = struct.Struct("<4s36xQQ")  # magic, size and offset of the directory
_TAIL_BYTES: Final = 22 + 0xFFFF  # the end record, and the longest comment after it
_STORED: Final = 0
_ZIP64: Final = 0xFFFF_FFFF
_ZIP64_EXTRA: Final = 1


def plan(file: Peekable) -> list[Region] | None:
    """Return stored members and what lies between them, in order; None if not a zip archive."""
    if file.peek(0, 4) != b"PK\3\4":
        return None
    try:
        size, offset = _find_directory(file)
        if size > HEAD:
            return None
        members = sorted(_read_members(file, file.peek(offset, size)))
    except (struct.error, ValueError):
        return None
    regions, at = [], 0
    for begin, length, name in members:
        if begin < at or begin + length > file.size:
            return None
        regions.append(Region(begin - at, name=f"before {name}"))
        regions += _plan_member(file, begin, length, name)
        at = begin + length
    return regions


def _find_directory(file: Peekable) -> tuple[int, int]:
    """Return size and offset of the directory; raises ValueError or struct.error without one."""
    begin = max(0, file.size - _TAIL_BYTES)
    tail = file.peek(begin, _TAIL_BYTES)
    at = tail.rindex(b"PK\5\6")
    _, size, offset = _END.unpack_from(tail, at)
    if _ZIP64 in {offset, size} and at >= _END64_LOCATOR.size:
        magic, end64_offset = _END64_LOCATOR.unpack_from(tail, at - _END64_LOCATOR.size)
        if magic == b"PK\6\7":
            _, size, offset = _END64.unpack(file.peek(end64_offset, _END64.size))
    return size, offset


def _read_members(file: Peekable, directory: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield each stored member: offset of its data, its length, and its name."""
    at = 0
    while at < len(directory):
        magic, method, size, plain, names, extras, comments, local = _ENTRY.unpack_from(
            directory, at
        )
        if magic != b"PK\1\2":
            raise ValueError("not a directory entry")
        name_end = at + _ENTRY.size + names
        name = directory[at + _ENTRY.size : name_end].decode(errors="replace")
        if _ZIP64 in (size, plain, local):
            extra = directory[name_end : name_end + extras]
            size, local = _read_zip64(extra, plain, size, local)
        at = name_end + extras + comments
        if method == _STORED and size:
            _, name_length, extra_length = _LOCAL.unpack(file.peek(local, _LOCAL.size))
            yield local + _LOCAL.size + name_length + extra_length, size, name


def _read_zip64(extra: bytes, plain: int, size: int, local: int) -> tuple[int, int]:
    """Return size and offset of a member; those above 32 bits come from its zip64 extra field.

    Raises:
        ValueError, struct.error: there is none, or it has fewer values than are needed.
    """
    at = 0
    while at < len(extra):
        field_id, length = struct.unpack_from("<HH", extra, at)
        if field_id == _ZIP64_EXTRA:
            values = struct.unpack_from(f"<{length // 8}Q", extra, at + 4)
            if len(values) < (plain, size, local).count(_ZIP64):
                raise ValueError("a zip64 field without all values")
            wide = iter(values)
            _, size, local = (next(wide) if v == _ZIP64 else v for v in (plain, size, local))
            return size, local
        at += 4 + length
    raise ValueError("no zip64 field")


def _plan_member(file: Peekable, begin: int, length: int, name: str) -> Iterator[Region]:
    """Yield the regions of a member: header and array if it is an ``.npy`` file, else one."""
    if name.endswith(".npy"):
        body, width = npy.parse_header(file.peek(begin, min(length, 1024))) or (0, 0)
        if 0 < body <= length:
            yield Region(body, name=f"header of {name}")
            yield Region(length - body, width, name)
            return
    yield Region(length, name=name)
