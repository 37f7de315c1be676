"""Images, sounds and fonts: their parts are walked to the last byte, so that nothing else follows.

What is in the parts (pixels, samples, outlines) is not looked at. FLAC and MP3 are not walked: what
is in them ends where a decoder says.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import Final

from airgap.scan.contents import PIECE, Content
from airgap.scan.pickle_values import demand

__all__ = ["looks_like_media", "walk_media"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_UNWALKED: Final = (b"fLaC", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers of JPEG that have no length."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SHORT_SCAN: Final = 1024
_NEXT_MARK: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd7]")


def looks_like_media(content: Content) -> bool:
    """Tell whether a content begins as an image, a sound or a font does."""
    start = content.read(0, 12)
    is_riff = start[:4] == b"RIFF" and start[8:] in {b"WAVE", b"WEBP"}
    return is_riff or start.startswith((*_WALKS, *_UNWALKED))


def walk_media(content: Content) -> None:
    """Go from part to part, to the end; raises Unreadable unless the last part ends the file."""
    start = content.read(0, 12)
    walk = next((walk for mark, walk in _WALKS.items() if start.startswith(mark)), _walk_riff)
    demand(not start.startswith(_UNWALKED), "the gate does not walk through sounds of this form")
    demand(walk(content) == content.size, "bytes follow its end, or it is cut off")


def _read_number(content: Content, offset: int, form: str) -> int:
    content.budget.spend()
    (number,) = struct.unpack(form, content.read_exactly(offset, struct.calcsize(form)))
    return int(number)


def _walk_png(content: Content) -> int:
    offset, kind = len(_PNG), b""
    while kind != b"IEND":
        size = _read_number(content, offset, ">I")
        kind = content.read_exactly(offset + 4, 4)
        demand(kind.isalpha(), "a part of the image has no name")
        demand(offset > len(_PNG) or kind == b"IHDR", "the image does not begin with its size")
        offset += 12 + size
        content.demand(0, offset)
    return offset


def _walk_jpegs(content: Content) -> int:
    """Go through JPEG images that follow one another: a photo, and previews of it."""
    offset = 0
    while offset < content.size:
        demand(content.read(offset, 3) == _JPEG, "bytes that are no image follow its end")
        offset = _walk_jpeg(content, offset + 2)
    return offset


def _walk_jpeg(content: Content, offset: int) -> int:
    while True:
        demand(content.read_exactly(offset, 1) == b"\xff", "a part of the image has no mark")
        marker = _read_number(content, offset + 1, "B")
        if marker == 0xFF:  # noqa: PLR2004 -- a mark may be filled up in front
            offset += 1
            continue
        demand(marker >= 0xC0 or marker in _ALONE, "a part of the image has another mark")  # noqa: PLR2004
        offset += 2
        if marker == _END_OF_IMAGE:
            return offset
        if marker not in _ALONE:
            size = _read_number(content, offset, ">H")
            demand(size > 1, "a part of the image has no length")
            offset += size
            content.demand(0, offset)
        if marker == _START_OF_SCAN:
            offset = _skip_scan(content, offset)


def _skip_scan(content: Content, offset: int) -> int:
    """Go behind the pixels of JPEG, to the next mark; scans may be many, and short."""
    length = _SHORT_SCAN
    while offset < content.size:
        piece = content.read(offset, length)
        mark = _NEXT_MARK.search(piece)
        if mark is not None:
            return offset + mark.start()
        length = PIECE
        offset += max(1, len(piece) - 1)  # a mark may lie across two pieces
    return offset


def _walk_gif(content: Content) -> int:
    flags = _read_number(content, 10, "B")
    offset = 13 + _measure_colours(flags)
    while True:
        kind = _read_number(content, offset, "B")
        if kind == _GIF_END:
            return offset + 1
        if kind == _GIF_IMAGE:
            offset += 11 + _measure_colours(_read_number(content, offset + 9, "B"))
        else:
            demand(kind == _GIF_EXTENSION, "a part of the image is of another kind")
            offset += 2
        while size := _read_number(content, offset, "B"):
            offset += 1 + size
        offset += 1


def _measure_colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _walk_riff(content: Content) -> int:
    end = 8 + _read_number(content, 4, "<I")
    offset = 12
    while offset < end:
        demand(content.read_exactly(offset, 4).isascii(), "a part has no name")
        size = _read_number(content, offset + 4, "<I")
        offset += 8 + size + size % 2
    demand(offset == end, "its parts have another size than the whole")
    return end


def _walk_bmp(content: Content) -> int:
    return _read_number(content, 2, "<I")


def _walk_ico(content: Content) -> int:
    """Icons: their images follow the table of them, one after another."""
    count = _read_number(content, 4, "<H")
    end = 6 + 16 * count
    for index in range(count):
        size = _read_number(content, 6 + 16 * index + 8, "<I")
        demand(
            _read_number(content, 6 + 16 * index + 12, "<I") == end, "an image has a gap before it"
        )
        end += size
    return end


def _walk_ogg(content: Content) -> int:
    offset = 0
    while offset < content.size:
        demand(content.read(offset, 4) == b"OggS", "a page of the sound has no mark")
        count = _read_number(content, offset + 26, "B")
        sizes = content.read_exactly(offset + 27, count)
        offset += 27 + count + sum(sizes)
    return offset


def _walk_font(content: Content) -> int:
    """Fonts: their tables follow the list of them, one after another, filled up to four bytes."""
    count = _read_number(content, 4, ">H")
    end = 12 + 16 * count
    for start, size in sorted(_list_tables(content, count)):
        demand(start == end, "a table of the font does not follow the one before it")
        end = start + size + -size % 4
    return min(end, content.size) if end - content.size in range(4) else end


def _list_tables(content: Content, count: int) -> Iterator[tuple[int, int]]:
    for index in range(count):
        entry = 12 + 16 * index
        yield _read_number(content, entry + 8, ">I"), _read_number(content, entry + 12, ">I")


_WALKS: Final[dict[bytes, Callable[[Content], int]]] = {
    _PNG: _walk_png,
    _JPEG: _walk_jpegs,
    b"GIF87a": _walk_gif,
    b"GIF89a": _walk_gif,
    b"OggS": _walk_ogg,
    b"BM": _walk_bmp,
    b"\0\0\1\0": _walk_ico,
    b"\0\1\0\0": _walk_font,
    b"OTTO": _walk_font,
}
