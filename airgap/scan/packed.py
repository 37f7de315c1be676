"""Files that are packed as a whole: unpacked once into memory, up to a limit."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from airgap.scan.contents import PIECE, Content
from airgap.scan.pickle_values import demand
from airgap.scan.verdicts import Unreadable

__all__ = ["UNKNOWN_PACKERS", "find_packer", "unpack"]

UNKNOWN_PACKERS: Final = {
    b"ZF": "joblib before 0.10",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}
"""Packers whose marks are known, and which are refused."""
_LARGEST: Final = 64 * 1024 * 1024


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_UNPACKERS: Final[dict[bytes, tuple[str, Callable[[], _Unpacker]]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(31)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\0": ("xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST)),
    b"\x5d\x00\x00": (
        "lzma",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LARGEST),
    ),
}


def find_packer(content: Content) -> str:
    """Return the packer whose mark a content begins with; empty: none."""
    start = content.read(0, 6)
    for mark, (name, _) in _UNPACKERS.items():
        if start.startswith(mark):
            return name
    return "zlib" if _is_zlib(content) else ""


def _is_zlib(content: Content) -> bool:
    """Tell whether the beginning can be unpacked: zlib's mark is two bytes that texts have, too."""
    start = content.read(0, 1024)
    if start[:1] != b"\x78" or int.from_bytes(start[:2], "big") % 31:
        return False
    try:
        zlib.decompressobj().decompress(start, 1)
    except zlib.error:
        return False
    return True


def unpack(content: Content, packer: str) -> Content:
    """Return what is packed; raises Unreadable when it is too large, or followed by something."""
    makers: dict[str, Callable[[], _Unpacker]] = {**dict(_UNPACKERS.values())}
    unpacker = makers.get(packer, zlib.decompressobj)()
    data = bytearray()
    try:
        for offset in range(0, content.size, PIECE):
            demand(not unpacker.eof, f"something follows what {packer} has packed")
            data += unpacker.decompress(content.read(offset, PIECE), _LARGEST + 1 - len(data))
            demand(len(data) <= _LARGEST, f"it unpacks to more than {_LARGEST:,} bytes")
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise Unreadable(f"it is not packed by {packer}: {error}") from error
    demand(
        unpacker.eof and not unpacker.unused_data, f"{packer} ends at another place than the file"
    )
    content.budget.spend_unpacked(len(data))
    return Content.of_bytes(bytes(data), content.budget)
