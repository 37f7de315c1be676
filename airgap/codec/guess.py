"""Guess from a sample how wide the numbers in a block are, where its file does not say."""

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["guess_width"]

_SAMPLE: Final = 64 * 1024
_LEAST_BITS: Final = 5.8
"""Bits per byte below which a block is text or the like, and for a general compressor."""
_GAIN_BITS: Final = 0.3
"""What a width must gain, in bits per byte, to be believed."""
_SAME_BITS: Final = 0.06
"""What a wider guess must gain over a narrower one: it has fewer bytes of sample for each plane."""


def guess_width(plain: bytes) -> int:
    """Return 2, 4 or 8 if the bytes look like numbers of that many bytes, else 0."""
    if len(plain) < 2 * _SAMPLE:
        return 0
    sample = np.frombuffer(plain, np.uint8, _SAMPLE, len(plain) // 2 & ~7)
    whole = _bits(sample)
    if whole < _LEAST_BITS:
        return 0
    found = {width: _bits_of_planes(sample, width) for width in (2, 4, 8)}
    best = next(width for width in found if found[width] < min(found.values()) + _SAME_BITS)
    return best if found[best] < whole - _GAIN_BITS else 0


def _bits_of_planes(sample: npt.NDArray[np.uint8], width: int) -> float:
    return sum(_bits(sample[plane::width]) for plane in range(width)) / width


def _bits(sample: npt.NDArray[np.uint8]) -> float:
    """Return the entropy of single bytes."""
    counts = np.bincount(sample, minlength=256)
    shares = counts[counts > 0] / len(sample)
    return float(-(shares * np.log2(shares)).sum())
