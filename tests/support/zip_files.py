"""Zip archives of one stored member, written field by field, so that each field may lie."""

import struct

_NAME = b"a"


def zip_member(data: bytes) -> bytes:
    """Make the archive's beginning: the member's local header and its bytes."""
    sizes = len(data), len(data), len(_NAME), 0
    return struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 0, 0, 33, 0, *sizes) + _NAME + data


def zip_directory(
    size: int,
    *,
    wide: bool = False,
    values: int = 3,
    member: int = 0,
    directory: int | None = None,
    end: int | None = None,
) -> bytes:
    """Make what follows a member of ``size`` bytes: its directory, and the end records.

    With ``wide``, all of its numbers are in zip64 fields, the member's own in the first ``values``
    of three. ``member``, ``directory`` and ``end`` are the offsets that it gives for the member,
    the directory and the zip64 end record.
    """
    at = len(zip_member(bytes(size)))
    extra = struct.pack("<QQQ", size, size, member)[: 8 * values]
    extra = struct.pack("<HH", 1, len(extra)) + extra if wide else b""
    sizes = (0xFFFF_FFFF, 0xFFFF_FFFF) if wide else (size, size)
    lengths = len(_NAME), len(extra), 0, 0, 0, 0
    head = struct.pack("<4sHHHHHHI", b"PK\1\2", 45, 45, 0, 0, 0, 33, 0)
    numbers = struct.pack("<IIHHHHHII", *sizes, *lengths, 0xFFFF_FFFF if wide else member)
    entry = head + numbers + _NAME + extra
    if not wide:
        return entry + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(entry), at, 0)
    start = at if directory is None else directory
    counts = 1, 1, len(entry), start
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, *counts)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + len(entry) if end is None else end, 1)
    full = 0xFFFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF
    return entry + end64 + locator + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, *full, 0)
