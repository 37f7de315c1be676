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
from airgap.chunking.zeros import is_zeros, zeros

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

    No cut falls into a run of zeros, which is only cut at the largest size: shared zeros are
    counted, not looked at.

    Yields:
        The bytes of each chunk.
    """
    buffer = bytearray()
    scanned = 0  # no candidate ends before this offset of `buffer`
    ahead = 0  # zeros that begin a chunk; `buffer` is empty then
    tail = 0  # zeros that `buffer` is known to end with
    for block in blocks:
        tail = tail + len(block) if is_zeros(block) else 0
        if tail and not buffer:
            ahead += len(block)
        else:
            buffer += bytes(ahead)
            buffer += block
            yield from _cut_off(buffer, scanned)
            scanned, ahead = len(buffer), 0
            if scanned <= tail:  # nothing but zeros is left
                scanned, ahead = 0, scanned
                buffer.clear()
        while ahead >= LARGEST:
            yield zeros(LARGEST)
            ahead -= LARGEST
    if buffer or ahead:
        yield bytes(buffer) + bytes(ahead)


def _cut_off(buffer: bytearray, scanned: int) -> Iterator[bytes]:
    """Yield the chunks that are complete, and remove them from the buffer."""
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
