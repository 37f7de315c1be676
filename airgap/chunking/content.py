"""Content-defined cuts: they depend on the bytes, not on their position in the file.

A cut may follow any position where a hash of the last eight bytes has a certain pattern, on average
once per 2^20 bytes of random data. Bytes that move keep their cuts: a file with one line inserted
shares all but one or two chunks with the old file.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from airgap.chunking.sizes import LARGEST, SMALLEST

__all__ = ["READ_BYTES", "cut"]

READ_BYTES: Final = 1024 * 1024
"""A good size for the blocks that are passed to ``cut``."""

_WINDOW: Final = 8
_MULTIPLIER: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
# Not zero, so that a run of zero bytes is cut only at the largest size.
_PATTERN: Final = np.uint64(0x5A5A5)
_SHIFT: Final = np.uint64(64 - 20)  # 20 bits: once per 1 MiB


def cut(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut a file, read as successive blocks, into chunks of 256 KiB to 4 MiB; the last may be less.

    Yields:
        The bytes of each chunk.
    """
    buffer = bytearray()
    scanned = 0  # no candidate ends before this offset of `buffer`
    for block in blocks:
        buffer += block
        start = 0
        for end in (*_find_candidates(buffer, scanned), None):
            limit = len(buffer) if end is None else end
            while limit - start > LARGEST:
                yield bytes(memoryview(buffer)[start : start + LARGEST])
                start += LARGEST
            if end is not None and end - start >= SMALLEST:
                yield bytes(memoryview(buffer)[start:end])
                start = end
        del buffer[:start]
        scanned = len(buffer)
    if buffer:
        yield bytes(buffer)


def _find_candidates(data: bytearray, scanned: int) -> list[int]:
    """Return the ends, above ``scanned``, of the windows whose hash has the pattern."""
    begin = max(0, scanned - _WINDOW + 1)
    ends: list[npt.NDArray[np.intp]] = []
    for shift in range(_WINDOW):
        count = (len(data) - begin - shift) // _WINDOW
        if count <= 0:
            continue
        words = np.frombuffer(data, np.dtype("<u8"), count, begin + shift)
        hits = np.flatnonzero((words * _MULTIPLIER) >> _SHIFT == _PATTERN)
        ends.append(hits * _WINDOW + (begin + shift + _WINDOW))
    return [] if not ends else sorted(int(end) for end in np.concatenate(ends))
