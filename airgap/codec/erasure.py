"""The erasure code of parity packs: a Cauchy code over bytes (format §20).

Parity is computed by ISA-L (through pyeclib) if that is installed, else with tables, several times
slower; the bytes are the same. Packs are restored with tables only: that happens rarely, keeps up
with the media it reads, and so needs no package that an isolated site may lack.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import count
from typing import Any, Final

import numpy as np

__all__ = ["compute_parity", "is_fast", "restore"]

_POLYNOMIAL: Final = 0x11D
_HEADER_BYTES: Final = 80  # pyeclib writes one before each fragment; the format has none
_SLICE_BYTES: Final = 64 * 1024  # of each pack at a time: more does not fit into a CPU cache
_MIN_LIBRARY_BYTES: Final = 4096


def is_fast() -> bool:
    """Tell whether ISA-L is installed."""
    return _load_driver(1, 1) is not None


def compute_parity(packs: Sequence[bytes], rows: int, *, library: bool = True) -> list[bytes]:
    """Return ``rows`` parity pieces for pieces of packs, all of the same length."""
    length = len(packs[0])
    driver = _load_driver(len(packs), rows) if library and _suits_library(length) else None
    if driver is not None:
        views = [memoryview(piece) for piece in packs]
        slices = [
            driver.encode(b"".join(view[at : at + _SLICE_BYTES] for view in views))[len(packs) :]
            for at in range(0, length, _SLICE_BYTES)
        ]
        return [
            b"".join(memoryview(fragment)[_HEADER_BYTES:] for fragment in row)
            for row in zip(*slices, strict=True)
        ]
    sums = [_Sum(length) for _ in range(rows)]
    for column, piece in enumerate(packs):
        for row, parity in enumerate(sums):
            parity.add(_coefficient(len(packs), row, column), piece)
    return [parity.value() for parity in sums]


def restore(
    size: int, packs: Mapping[int, bytes], parity: Mapping[int, bytes], missing: Sequence[int]
) -> list[bytes]:
    """Restore the pieces of the missing packs of a group of ``size`` packs.

    Args:
        size: the number of packs in the group.
        packs: the pieces of the packs that are present, by position in the group.
        parity: pieces of exactly as many parity packs as packs are missing, by row.
        missing: the positions to restore: those that are not in ``packs``.
    """
    sums = []
    for row, parity_piece in parity.items():
        remainder = _Sum(len(parity_piece))
        remainder.add(1, parity_piece)
        for column, piece in packs.items():
            remainder.add(_coefficient(size, row, column), piece)
        sums.append(remainder.value())
    return [_combine(row, sums) for row in _solve(size, tuple(parity), tuple(missing))]


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
    """Tell whether the library would add no padding to any slice of pieces of this length."""
    last = length % _SLICE_BYTES
    return last % 16 == 0 and (last >= _MIN_LIBRARY_BYTES or last == 0)


@lru_cache(maxsize=4)
def _solve(size: int, rows: tuple[int, ...], missing: tuple[int, ...]) -> list[list[int]]:
    """Return, for each missing pack, its factors for the sums of ``rows``."""
    return _invert([[_coefficient(size, row, column) for column in missing] for row in rows])


def _combine(factors: Sequence[int], pieces: Sequence[bytes]) -> bytes:
    total = _Sum(len(pieces[0]))
    for factor, piece in zip(factors, pieces, strict=True):
        total.add(factor, piece)
    return total.value()


def _coefficient(size: int, row: int, column: int) -> int:
    return _reciprocal((size + row) ^ column)


def _multiply(left: int, right: int) -> int:
    product = 0
    while right:
        product ^= left * (right & 1)
        left = left << 1 ^ (_POLYNOMIAL if left & 0x80 else 0)
        right >>= 1
    return product


@cache
def _reciprocal(value: int) -> int:
    return next(other for other in count(1) if _multiply(value, other) == 1)


@cache
def _multiples(factor: int) -> bytes:
    return bytes(_multiply(factor, value) for value in range(256))


def _invert(matrix: Sequence[Sequence[int]]) -> list[list[int]]:
    """Invert a square submatrix of a Cauchy matrix; every one has an inverse."""
    size = len(matrix)
    rows = [
        bytes([*row, *(at == column for column in range(size))]) for at, row in enumerate(matrix)
    ]
    for at in range(size):
        pivot = next(row for row in range(at, size) if rows[row][at])
        rows[at], rows[pivot] = rows[pivot], rows[at]
        rows[at] = rows[at].translate(_multiples(_reciprocal(rows[at][at])))
        for other in range(size):
            factor = rows[other][at]
            if other != at and factor:
                rows[other] = _xor(rows[other], rows[at].translate(_multiples(factor)))
    return [list(row[size:]) for row in rows]


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


@cache
def _load_driver(packs: int, rows: int) -> Any | None:  # noqa: ANN401  (pyeclib has no types)
    """Return ISA-L's encoder, or None if it is not installed."""
    try:
        from pyeclib.ec_iface import ECDriver, ECDriverError
    except ImportError:
        return None
    try:
        return ECDriver(k=packs, m=rows, ec_type="isa_l_rs_cauchy")
    except ECDriverError:
        return None
