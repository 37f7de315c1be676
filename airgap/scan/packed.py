"""Files that are packed as a whole: unpacked once into memory, up to a limit."""

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Protocol

from airgap.scan.contents import PIECE, Content
from airgap.scan.pickle_operations import find_name
from airgap.scan.pickle_values import demand
from airgap.scan.verdicts import Unreadable

__all__ = [
    "UNKNOWN_PACKERS",
    "find_packer",
    "is_packed_for_joblib",
    "unpack",
    "unpack_piece",
]

UNKNOWN_PACKERS: Final = {
    b"ZF": "joblib before 0.10",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}
"""Packers whose marks are known, and which are refused."""
_JOBLIB: Final = re.compile(rb"ZF[0-9A-Fa-fxX_+\s-]{17}|\x04\x22\x4d\x18")
"""A file of joblib before 0.10, which has a number to the base of 16, and one of LZ4."""
_BEGINNING: Final = 1024
_LOOKED_AT: Final = 64 * 1024
_DICTIONARY: Final = 33 * 1024 * 1024


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_UNPACKERS: Final[dict[str, tuple[re.Pattern[bytes], Callable[[], _Unpacker]]]] = {
    "gzip": (re.compile(rb"\x1f\x8b"), lambda: zlib.decompressobj(31)),
    "bzip2": (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    "xz": (
        re.compile(rb"\xfd7zXZ\x00"),
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY),
    ),
}


def find_packer(content: Content) -> str:
    """Return the packer by which joblib would unpack a content, or another one; empty: none."""
    start = content.read(0, _BEGINNING)
    for name, (mark, _) in _UNPACKERS.items():
        if mark.match(start):
            return name
    if start.startswith(b"\x5d\x00") and _begins_packed(_open_lzma(), start):
        return "lzma"
    return "zlib" if start.startswith(b"\x78") and _is_zlib(content) else ""


def is_packed_for_joblib(content: Content) -> bool:
    """Tell whether joblib unpacks a content by a packer that is refused here."""
    return _JOBLIB.match(content.read(0, 32)) is not None


def _begins_packed(unpacker: _Unpacker, start: bytes) -> bool:
    """Tell whether the beginning can be unpacked: other forms have marks of two bytes, too."""
    try:
        unpacker.decompress(start, 1)
    except lzma.LZMAError as error:
        return "emory" in str(error)  # it wants more memory than it gets here
    except zlib.error:
        return False
    return True


def _is_zlib(content: Content) -> bool:
    """Tell whether a reader unpacks anything that it could take for a pickle with a name.

    Two letters of a text can be the mark of zlib. Such a text is damaged as zlib, sooner or later,
    and a reader may have read what was unpacked before.
    """
    unpacker = zlib.decompressobj()
    unpacked = bytearray()
    for offset in range(0, min(content.size, _LOOKED_AT), _BEGINNING):
        before = unpacker.copy()
        piece = content.read(offset, _BEGINNING)
        try:
            unpacked += unpacker.decompress(piece, _LOOKED_AT)
        except zlib.error:
            unpacked += _unpack_to_damage(before, piece)
            return find_name(Content.of_bytes(bytes(unpacked), content.budget))
        if unpacker.eof or len(unpacked) >= _LOOKED_AT:
            return True
    is_cut = content.size <= _LOOKED_AT
    return not is_cut or find_name(Content.of_bytes(bytes(unpacked), content.budget))


def _unpack_to_damage(unpacker: _Unpacker, piece: bytes) -> bytes:
    """Return what is unpacked before the first byte that no block of zlib has."""
    unpacked = bytearray()
    with suppress(zlib.error):
        for byte in piece:
            unpacked += unpacker.decompress(bytes([byte]), _LOOKED_AT)
    return bytes(unpacked)


def _open_lzma() -> _Unpacker:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_DICTIONARY)


def unpack_piece(unpacker: _Unpacker, packed: bytes) -> Iterator[bytes]:
    """Unpack some bytes, no more at a time than a piece: a few bytes may unpack to very many."""
    is_more = True
    while is_more and not unpacker.eof:
        piece = unpacker.decompress(packed, PIECE)
        yield piece
        packed = getattr(unpacker, "unconsumed_tail", b"")  # others keep it themselves
        is_more = len(piece) == PIECE or bool(packed) or not getattr(unpacker, "needs_input", True)


def unpack(content: Content, packer: str) -> Content:
    """Return what is packed; raises Unreadable when it is too large, or followed by something."""
    makers: dict[str, Callable[[], _Unpacker]] = {
        **{name: make for name, (_, make) in _UNPACKERS.items()},
        "lzma": _open_lzma,
    }
    unpacker = makers.get(packer, zlib.decompressobj)()
    unpacked = io.BytesIO()
    try:
        for offset in range(0, content.size, PIECE):
            demand(not unpacker.eof, f"something follows what {packer} has packed")
            for piece in unpack_piece(unpacker, content.read(offset, PIECE)):
                content.budget.spend_unpacked(len(piece))
                unpacked.write(piece)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise Unreadable(f"it is not packed by {packer}: {error}") from error
    demand(
        unpacker.eof and not unpacker.unused_data, f"{packer} ends at another place than the file"
    )
    return Content.of_memory(unpacked, content.budget)
