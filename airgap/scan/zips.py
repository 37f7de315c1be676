"""A zip as one reading of it: local headers from the first byte, one directory, one end.

Readers of zips look at different records, and an attacker lets them see different files. Here the
records tile the file, and the directory says what the local headers say.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from airgap.scan.contents import PIECE, Content
from airgap.scan.member_names import demand_member_name
from airgap.scan.packed import unpack_piece
from airgap.scan.pickle_values import demand
from airgap.scan.verdicts import Unreadable

__all__ = ["LOCAL_MARK", "ZipMember", "find_zip_end", "list_zip", "open_member"]

LOCAL_MARK: Final = b"PK\x03\x04"
END_MARK: Final = b"PK\x05\x06"
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64: Final = struct.Struct("<4sIQI")
_TAIL: Final = 65_535 + _END.size
_MOST_MEMBERS: Final = 20_000
_STORED, _DEFLATED = 0, 8
_DESCRIPTOR, _UTF_8 = 0x8, 0x800
_SATURATED: Final = 0xFFFFFFFF
_EXTRAS: Final = frozenset({b"FB", b"UT", b"ux"})
_CHECKED: Final = 16 * 1024 * 1024
_FILE_TYPES: Final = frozenset({0, 0o100000, 0o040000})


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member: where its packed bytes lie, and what they are."""

    name: str
    start: int
    packed: int
    size: int
    method: int
    checksum: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, which has no bytes."""
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the directory says of a member."""

    name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    size: int
    offset: int


def find_zip_end(content: Content) -> bool:
    """Tell whether a reader that looks for the end of a zip might find one in the tail."""
    start = max(0, content.size - _TAIL)
    return END_MARK in content.read(start, content.size - start)


def list_zip(content: Content) -> list[ZipMember]:
    """Return the members of a zip; raises Unreadable where two readers might differ."""
    directory, end, count = _read_end(content)
    entries = _read_directory(content, directory, end, count)
    names = [entry.name.lower() for entry in entries]
    demand(len({*names}) == len(names), "a member stands twice in it")
    members = []
    offset = 0
    for entry in entries:
        demand(entry.offset == offset, "its members do not follow one another from the first byte")
        member = _read_local(content, entry)
        members.append(member)
        offset = _find_member_end(content, entry, member)
    demand(offset == directory, "something lies between its members and its directory")
    return members


def _read_end(content: Content) -> tuple[int, int, int]:
    """Return where the directory begins and ends, and how many members it has."""
    place = content.size - _END.size
    values = _END.unpack(content.read_exactly(place, _END.size))
    mark, disk, first, here, count, size, begin, comment = values
    demand(mark == END_MARK and not comment, "it does not end with its directory")
    demand(disk == first == 0 and here == count, "it is a part of several files")
    demand(count <= _MOST_MEMBERS, f"it has {count:,} members")
    start = max(0, content.size - _TAIL)
    tail = content.read(start, content.size - start)
    demand(tail.count(END_MARK) == 1, "it has two ends")
    end = _skip_end_64(content, place, (here, count, size, begin))
    demand(begin + size == end, "something lies behind its directory")
    return int(begin), end, int(count)


def _skip_end_64(content: Content, end: int, values: tuple[int, int, int, int]) -> int:
    """Return where a directory ends: before the records for large files, which say the same."""
    locator = end - _LOCATOR_64.size
    if locator < 0 or content.read(locator, 4) != b"PK\x06\x07":
        return end
    _, disk, record, disks = _LOCATOR_64.unpack(content.read_exactly(locator, _LOCATOR_64.size))
    demand(disk == 0 and disks == 1, "it is a part of several files")
    demand(record == locator - _END_64.size, "its two ends differ")
    record_values = _END_64.unpack(content.read_exactly(record, _END_64.size))
    demand(
        record_values[0] == b"PK\x06\x06" and record_values[1] == _END_64.size - 12,
        "its two ends differ",
    )
    demand(record_values[4:6] == (0, 0) and record_values[6:] == values, "its two ends differ")
    return int(record)


def _read_directory(content: Content, begin: int, end: int, count: int) -> list[_Listed]:
    entries = []
    offset = begin
    for _ in range(count):
        content.budget.spend()
        values = _CENTRAL.unpack(content.read_exactly(offset, _CENTRAL.size))
        (mark, _, _, flags, method, _, _, checksum, packed, size) = values[:10]
        (name_size, extra_size, comment, disk, _, attributes, place) = values[10:]
        demand(mark == b"PK\x01\x02" and not comment and not disk, "its directory is damaged")
        demand(attributes >> 16 & 0o170000 in _FILE_TYPES, "a member is not a file or folder")
        demand(_SATURATED not in {packed, size, place}, "a member is too large")
        name = content.read_exactly(offset + _CENTRAL.size, name_size)
        _check_extra(content.read_exactly(offset + _CENTRAL.size + name_size, extra_size))
        entries.append(_Listed(name, flags, method, checksum, packed, size, place))
        offset += _CENTRAL.size + name_size + extra_size
    demand(offset == end, "its directory has another length")
    return entries


def _read_local(content: Content, entry: _Listed) -> ZipMember:
    header = content.read_exactly(entry.offset, _LOCAL.size)
    mark, _, flags, method, _, _, *numbers, name_size, extra_size = _LOCAL.unpack(header)
    demand(mark == LOCAL_MARK, "a member has no header")
    start = entry.offset + _LOCAL.size + name_size + extra_size
    raw = content.read_exactly(entry.offset + _LOCAL.size, name_size)
    demand((raw, flags, method) == (entry.name, entry.flags, entry.method), "two headers differ")
    demand(not flags & ~(_DESCRIPTOR | _UTF_8 | 0x6), "a member is encrypted or packed oddly")
    demand(method in {_STORED, _DEFLATED}, f"a member is packed by the method {method}")
    extra = content.read_exactly(start - extra_size, extra_size)
    said = [entry.checksum, entry.packed, entry.size]
    if numbers[1:] == [_SATURATED, _SATURATED]:
        numbers[1:] = _read_sizes_64(extra)
    else:
        _check_extra(extra)
    has_descriptor = flags & _DESCRIPTOR and numbers in ([0, 0, 0], said)
    demand(numbers == said or has_descriptor, "two headers differ")
    demand(method != _STORED or entry.packed == entry.size, "a stored member has two sizes")
    try:
        name = raw.decode("utf-8" if flags & _UTF_8 else "ascii")
    except UnicodeDecodeError as error:
        raise Unreadable("the name of a member is not a text") from error
    demand_member_name(name)
    demand(not name.endswith("/") or not entry.packed, "a folder has bytes")
    content.demand(start, entry.packed)
    return ZipMember(name, start, entry.packed, entry.size, method, entry.checksum)


def _check_extra(extra: bytes) -> None:
    """Demand extra fields that say nothing of names and sizes: padding of torch, and times."""
    offset = 0
    while offset < len(extra):
        field = extra[offset : offset + 4]
        demand(len(field) == 4 and field[:2] in _EXTRAS, "a member has an unknown extra field")  # noqa: PLR2004
        offset += 4 + int.from_bytes(field[2:], "little")
    demand(offset == len(extra), "an extra field is damaged")


def _read_sizes_64(extra: bytes) -> list[int]:
    """Return the packed size and the size that an extra field has for large members."""
    if len(extra) == 20 and extra[:4] == b"\x01\x00\x10\x00":  # noqa: PLR2004 -- bytes
        size, packed = struct.unpack_from("<QQ", extra, 4)
        return [packed, size]
    raise Unreadable("a member has an unknown size")


def _find_member_end(content: Content, entry: _Listed, member: ZipMember) -> int:
    """Return where a member ends, with the descriptor that may follow it."""
    end = member.start + member.packed
    if not entry.flags & _DESCRIPTOR:
        return end
    said = (b"PK\x07\x08", entry.checksum, entry.packed, entry.size)
    for form in ("<4sIII", "<4sIQQ"):
        size = struct.calcsize(form)
        if content.read(end, size) == struct.pack(form, *said):
            return end + size
    raise Unreadable("a member has no description behind it")


def open_member(content: Content, member: ZipMember) -> Content:
    """Return the bytes of a member: a window of the zip, or unpacked once into memory."""
    packed = content.part(member.start, member.packed)
    if member.method == _STORED:
        if member.size <= _CHECKED:
            demand(_sum_up(packed) == member.checksum, f"{member.name} has another checksum")
        return packed
    content.budget.spend_unpacked(member.size)
    unpacker = zlib.decompressobj(-15)
    data = io.BytesIO()
    checksum = 0
    for offset in range(0, packed.size, PIECE):
        try:
            for piece in unpack_piece(unpacker, packed.read(offset, PIECE)):
                demand(data.tell() + len(piece) <= member.size, "a size is wrong")
                checksum = zlib.crc32(piece, checksum)
                data.write(piece)
        except zlib.error as error:
            raise Unreadable(f"{member.name} is damaged") from error
    demand(unpacker.eof and not unpacker.unused_data, f"{member.name} ends at another place")
    demand(data.tell() == member.size, f"{member.name} has another size")
    demand(checksum == member.checksum, f"{member.name} has another checksum")
    return Content.of_memory(data, content.budget)


def _sum_up(content: Content) -> int:
    checksum = 0
    for offset in range(0, content.size, PIECE):
        checksum = zlib.crc32(content.read(offset, PIECE), checksum)
    return checksum
