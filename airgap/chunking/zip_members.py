"""The members of a zip archive: the uncompressed ones of PyTorch, npz, Keras; all of a wheel.

A wheel is compressed, and stays so, for its digest is that of an index. Of two versions, the same
members have the same compressed bytes, but for their headers, which give a time.

The directory at the archive's end tells where the members are. It is not trusted: it decides only
where the file is cut.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Final

from airgap.chunking import npy
from airgap.chunking.pieces import Peekable, Region
from airgap.chunking.sizes import HEAD
from airgap.format.limits import KIB

__all__ = ["is_wheel", "plan", "plan_wheel"]

_LOCAL: Final = struct.Struct("<4s22xHH")  # magic, lengths of name and extra
_ENTRY: Final = struct.Struct("<4s6xH8xIIHHH8xI")
"""Magic, method, stored and plain size, lengths of name, extra and comment, offset."""
_END: Final = struct.Struct("<4s8xII")  # magic, size and offset of the directory
_END64_LOCATOR: Final = struct.Struct("<4s4xQ4x")  # magic, offset of the zip64 end record
_END64: Final = struct.Struct("<4s36xQQ")  # magic, size and offset of the directory
_TAIL_BYTES: Final = 22 + 0xFFFF  # the end record, and the longest comment after it
_STORED: Final = 0
_SMALL: Final = 4 * KIB
"""Members of a wheel below this, in bytes, share a chunk with their neighbours."""
_END_ONE_IN: Final = 2
"""The share of small members that may be the last of such a chunk."""
_ZIP64: Final = 0xFFFF_FFFF
_ZIP64_EXTRA: Final = 1


def is_wheel(path: str) -> bool:
    """Tell whether a file is cut as a wheel, by its path."""
    return path.endswith(".whl")


def plan(file: Peekable) -> list[Region] | None:
    """Return stored members and what lies between them, in order; None if not a zip archive."""
    members = _list_members(file)
    if members is None:
        return None
    regions, at = [], 0
    for method, begin, length, name in members:
        if method == _STORED:
            regions.append(Region(begin - at, name=f"before {name}"))
            regions += _plan_member(file, begin, length, name)
            at = begin + length
    return regions


def plan_wheel(file: Peekable) -> list[Region] | None:
    """Return the members of a wheel, and groups of small ones; None if not a wheel.

    The name of a small member decides whether a group may end with it, so that one member more or
    less changes few groups.
    """
    members = _list_members(file) if is_wheel(file.path) else None
    if members is None:
        return None
    regions, at = [], 0
    for _, begin, length, name in members:
        end = begin + length
        if length >= _SMALL:
            regions.append(Region(begin - at, name=f"before {name}", is_apart=True))
            regions.append(Region(length, name=name, is_apart=True))
            at = end
        elif end - at >= _SMALL and _ends_group(name):
            regions.append(Region(end - at, name=f"until {name}", is_apart=True))
            at = end
    return regions


def _ends_group(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % _END_ONE_IN == 0


def _list_members(file: Peekable) -> list[tuple[int, int, int, str]] | None:
    """Return method, offset and length of the data, and name of each member that is not empty.

    They are in order of offset. None: it is not a zip archive, or its directory lies.
    """
    if file.peek(0, 4) != b"PK\3\4":
        return None
    try:
        size, offset = _find_directory(file)
        if size > HEAD:
            return None
        found = sorted(_read_members(file, file.peek(offset, size)), key=lambda member: member[1:])
    except (struct.error, ValueError):
        return None
    at = 0
    for _, begin, length, _ in found:
        if begin < at or begin + length > file.size:
            return None
        at = begin + length
    return found


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


def _read_members(file: Peekable, directory: bytes) -> Iterator[tuple[int, int, int, str]]:
    """Yield method, offset and length of the data, and name of each member."""
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
        if size and (method == _STORED or is_wheel(file.path)):
            _, name_length, extra_length = _LOCAL.unpack(file.peek(local, _LOCAL.size))
            yield method, local + _LOCAL.size + name_length + extra_length, size, name


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
