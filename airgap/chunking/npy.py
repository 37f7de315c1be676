"""The one array of a NumPy ``.npy`` file."""

import re
from typing import Final

from airgap.chunking.pieces import Region

__all__ = ["plan"]

_MAGIC: Final = b"\x93NUMPY"
_FLOAT: Final = re.compile(rb"'descr': '<f([248])'")


def plan(start: bytes, size: int) -> list[Region] | None:
    """Return header and array; None if this is no such file."""
    if not start.startswith(_MAGIC) or len(start) < 12:  # noqa: PLR2004
        return None
    wide = start[6] > 1  # version 1 has a header length of two bytes, later ones of four
    body = (
        12 + int.from_bytes(start[8:12], "little")
        if wide
        else 10 + int.from_bytes(start[8:10], "little")
    )
    if body > min(len(start), size):
        return None
    number = _FLOAT.search(start, 0, body)
    return [Region(body), Region(size - body, int(number[1]) if number else 0)]
