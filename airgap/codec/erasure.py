"""Parity of packs, and packs from parity: a Cauchy code over bytes (format §20).

Parity is made by ISA-L (through pyeclib) where that is installed, else by tables, several times
slower; the bytes are the same. Packs are made again by tables alone: that happens seldom, is no
slower than the media it reads, and so needs nothing that an isolated site may not have.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import count
from typing import Any, Final

import numpy as np

__all__ = ["compute_parity", "is_fast", "restore"]

_POLYNOMIAL: Final = 0x11D
_HEADER_BYTES: Final = 80  # what pyeclib puts before each part, and the format does not have
_SLICE_BYTES: Final = 64 * 1024  # of each pack at a time: more does not fit into a CPU's cache
_LEAST_FOR_LIBRARY: Final = 4096


def is_fast() -> bool:
    """Tell whether the library that makes parity quickly is here."""
    return _driver(1, 1) is not None


def compute_parity(packs: Sequence[bytes], rows: int, *, library: bool = True) -> list[bytes]:
    """Return ``rows`` parity pieces of pieces of packs, which all have the same length."""
    length = len(packs[0])
    driver = _driver(len(packs), rows) if library and _suits_library(length) else None
    if driver is not None:
        views = [memoryview(one) for one in packs]
        slices = [
            driver.encode(b"".join(view[at : at + _SLICE_BYTES] for view in views))[len(packs) :]
            for at in range(0, length, _SLICE_BYTES)
        ]
        return [
            b"".join(memoryview(one)[_HEADER_BYTES:] for one in row)
            for row in zip(*slices, strict=True)
        ]
    sums = [_Sum(len(packs[0])) for _ in range(rows)]
    for column, piece in enumerate(packs):
        for row, one in enumerate(sums):
            one.add(_coefficient(len(packs), row, column), piece)
    return [one.value() for one in sums]


def restore(
    size: int, packs: Mapping[int, bytes], parity: Mapping[int, bytes], missing: Sequence[int]
) -> list[bytes]:
    """Return the pieces of the missing packs of a group of ``size`` packs.

    Args:
        size: how many packs the group has.
        packs: the pieces of all its packs that are there, by position in the group.
        parity: pieces of exactly as many parity packs as packs are missing, by row.
        missing: the positions to restore, all that ``packs`` has not.
    """
    sums = []
    for row, piece in parity.items():
        left = _Sum(len(piece))
        left.add(1, piece)
        for column, one in packs.items():
            left.add(_coefficient(size, row, column), one)
        sums.append(left.value())
    return [_combined(row, sums) for row in _solution(size, tuple(parity), tuple(missing))]


class _Sum:
    """A sum of multiples of pieces of one length."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._words = np.zeros(-(-length // 8), np.uint64)

    def add(self, factor: int, piece: bytes) -> None:
        product = piece if factor == 1 else piece.translate(_multiples(factor))
        whole = self._length // 8 * 8
        self._words[: whole // 8] ^= np.frombuffer(product, np.uint64, whole // 8)
        if whole < self._length:
            tail = np.frombuffer(product[whole:].ljust(8, b"\0"), np.uint64)
            self._words[-1:] ^= tail

    def value(self) -> bytes:
        return self._words.tobytes()[: self._length]


def _suits_library(length: int) -> bool:
    """Tell whether the library would fill no slice of these pieces up."""
    return length % _SLICE_BYTES % 16 == 0 and (
        length % _SLICE_BYTES >= _LEAST_FOR_LIBRARY or length % _SLICE_BYTES == 0
    )


@lru_cache(maxsize=4)
def _solution(size: int, rows: tuple[int, ...], missing: tuple[int, ...]) -> list[list[int]]:
    return _inverse([[_coefficient(size, row, one) for one in missing] for row in rows])


def _combined(factors: Sequence[int], pieces: Sequence[bytes]) -> bytes:
    whole = _Sum(len(pieces[0]))
    for factor, piece in zip(factors, pieces, strict=True):
        whole.add(factor, piece)
    return whole.value()


def _coefficient(size: int, row: int, column: int) -> int:
    return _reciprocal((size + row) ^ column)


def _times(one: int, other: int) -> int:
    product = 0
    while other:
        product ^= one * (other & 1)
        one = one << 1 ^ (_POLYNOMIAL if one & 0x80 else 0)
        other >>= 1
    return product


@cache
def _reciprocal(value: int) -> int:
    return next(one for one in count(1) if _times(value, one) == 1)


@cache
def _multiples(factor: int) -> bytes:
    return bytes(_times(factor, value) for value in range(256))


def _inverse(matrix: Sequence[Sequence[int]]) -> list[list[int]]:
    """Invert a square part of a Cauchy matrix; every such part has an inverse."""
    size = len(matrix)
    rows = [[*row, *(int(at == one) for one in range(size))] for at, row in enumerate(matrix)]
    for at in range(size):
        pivot = next(row for row in range(at, size) if rows[row][at])
        rows[at], rows[pivot] = rows[pivot], rows[at]
        scale = _reciprocal(rows[at][at])
        rows[at] = [_times(scale, value) for value in rows[at]]
        for other in range(size):
            factor = rows[other][at]
            if other != at and factor:
                pairs = zip(rows[other], rows[at], strict=True)
                rows[other] = [value ^ _times(factor, mine) for value, mine in pairs]
    return [row[size:] for row in rows]


@cache
def _driver(packs: int, rows: int) -> Any | None:  # noqa: ANN401  (pyeclib has no types)
    """Return ISA-L's encoder, or None where it is not installed."""
    try:
        from pyeclib.ec_iface import ECDriver, ECDriverError
    except ImportError:
        return None
    try:
        return ECDriver(k=packs, m=rows, ec_type="isa_l_rs_cauchy")
    except ECDriverError:
        return None
