"""Content-defined cuts: where the bytes themselves say so, wherever they lie in the file.

A cut may follow any position where a hash of the last eight bytes has its pattern, which happens
once in 2^20 positions of random data. Bytes that move keep their cuts, so that a file with
an inserted line shares all but one or two of its chunks with the old one.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from airgap.chunking.sizes import LARGEST, SMALLEST

__all__ = ["READ_BYTES", "cut"]

READ_BYTES: Final = 1024 * 1024
"""A good size for the blocks that are handed in."""

_WINDOW: Final = 8
_MULTIPLIER: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
# Not zero, so that a run of zero bytes has no cuts but those of the largest size.
_PATTERN: Final = np.uint64(0x5A5A5)
_SHIFT: Final = np.uint64(64 - 20)  # 20 bits: once in 1 MiB


def cut(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut a file, read as successive blocks, into chunks of 256 KiB to 4 MiB, but the last."""
    held = bytearray()
    scanned = 0  # no candidate ends before this offset of `held`
    for block in blocks:
        held += block
        start = 0
        for end in (*_candidates(held, scanned), None):
            limit = len(held) if end is None else end
            while limit - start > LARGEST:
                yield bytes(memoryview(held)[start : start + LARGEST])
                start += LARGEST
            if end is not None and end - start >= SMALLEST:
                yield bytes(memoryview(held)[start:end])
                start = end
        del held[:start]
        scanned = len(held)
    if held:
        yield bytes(held)


def _candidates(data: bytearray, scanned: int) -> list[int]:
    """Return the ends, above ``scanned``, of the windows that have the pattern."""
    begin = max(0, scanned - _WINDOW + 1)
    found: list[npt.NDArray[np.intp]] = []
    for shift in range(_WINDOW):
        count = (len(data) - begin - shift) // _WINDOW
        if count <= 0:
            continue
        words = np.frombuffer(data, np.dtype("<u8"), count, begin + shift)
        hits = np.flatnonzero((words * _MULTIPLIER) >> _SHIFT == _PATTERN)
        found.append(hits * _WINDOW + (begin + shift + _WINDOW))
    return [] if not found else sorted(int(end) for end in np.concatenate(found))
