"""The array of a NumPy ``.npy`` file."""

import re
from typing import Final

from airgap.chunking.pieces import Peekable, Region

__all__ = ["plan"]

_MAGIC: Final = b"\x93NUMPY"
_HEADER_BYTES: Final = 64 * 1024
_FLOAT: Final = re.compile(rb"'descr': '<f([248])'")


def plan(file: Peekable) -> list[Region] | None:
    """Return header and array; None if this is not an ``.npy`` file."""
    start = file.peek(0, _HEADER_BYTES)
    body, width = parse_header(start) or (0, 0)
    if not 0 < body <= min(len(start), file.size):
        return None
    return [Region(body, name="header"), Region(file.size - body, width, "array")]


def parse_header(start: bytes) -> tuple[int, int] | None:
    """Return the header's length and the width of the array's numbers; None if not ``.npy``."""
    if not start.startswith(_MAGIC) or len(start) < 12:  # noqa: PLR2004
        return None
    wide = start[6] > 1  # version 1 has a header length of two bytes, later ones of four
    body = (
        12 + int.from_bytes(start[8:12], "little")
        if wide
        else 10 + int.from_bytes(start[8:10], "little")
    )
    match = _FLOAT.search(start, 0, body)
    return body, int(match[1]) if match else 0
