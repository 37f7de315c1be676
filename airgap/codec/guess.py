"""Guesses from a sample the width of a block's numbers, if its file's format does not tell it."""

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["guess_width"]

_SAMPLE: Final = 64 * 1024
_MIN_ENTROPY: Final = 5.8
"""Bits per byte. A block below is text or the like: a general compressor does better."""
_MIN_GAIN: Final = 0.3
"""Bits per byte that separate planes must save."""
_MIN_WIDER_GAIN: Final = 0.06
"""Bits per byte that a wider guess must save over a narrower one: its planes have fewer samples."""


def guess_width(plain: bytes) -> int:
    """Return 2, 4 or 8 if the bytes look like numbers of that many bytes, else 0."""
    if len(plain) < 2 * _SAMPLE:
        return 0
    sample = np.frombuffer(plain, np.uint8, _SAMPLE, len(plain) // 2 & ~7)
    entropy = _entropy(sample)
    if entropy < _MIN_ENTROPY:
        return 0
    by_width = {width: _plane_entropy(sample, width) for width in (2, 4, 8)}
    limit = min(by_width.values()) + _MIN_WIDER_GAIN
    best = next(width for width in by_width if by_width[width] < limit)
    return best if by_width[best] < entropy - _MIN_GAIN else 0


def _plane_entropy(sample: npt.NDArray[np.uint8], width: int) -> float:
    return sum(_entropy(sample[plane::width]) for plane in range(width)) / width


def _entropy(sample: npt.NDArray[np.uint8]) -> float:
    """Return the entropy of single bytes, in bits per byte."""
    counts = np.bincount(sample, minlength=256)
    shares = counts[counts > 0] / len(sample)
    return float(-(shares * np.log2(shares)).sum())
