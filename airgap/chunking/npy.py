"""The one array of a NumPy ``.npy`` file."""

import re
from typing import Final

from airgap.chunking.pieces import Peekable, Region

__all__ = ["plan"]

_MAGIC: Final = b"\x93NUMPY"
_HEADER: Final = 64 * 1024
_FLOAT: Final = re.compile(rb"'descr': '<f([248])'")


def plan(file: Peekable) -> list[Region] | None:
    """Return header and array; None if this is no such file."""
    start = file.peek(0, _HEADER)
    found = parse_header(start)
    if found is None or found[0] > min(len(start), file.size):
        return None
    body, width = found
    return [Region(body, name="header"), Region(file.size - body, width, "array")]


def parse_header(start: bytes) -> tuple[int, int] | None:
    """Return how long the header is, and the width of the array's numbers; None if it is none."""
    if not start.startswith(_MAGIC) or len(start) < 12:  # noqa: PLR2004
        return None
    wide = start[6] > 1  # version 1 has a header length of two bytes, later ones of four
    body = (
        12 + int.from_bytes(start[8:12], "little")
        if wide
        else 10 + int.from_bytes(start[8:10], "little")
    )
    number = _FLOAT.search(start, 0, body)
    return body, int(number[1]) if number else 0
