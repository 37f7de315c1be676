"""Codec 2: byte planes of floating-point numbers (format §5.3).

The high bytes of neighbouring weights are alike, because their exponents are; the low bytes are
noise. Byte i of every element forms plane i; a plane is stored raw, or as a zstd frame with entropy
coding only. The sign bit is moved to the low end first, so that it does not disturb the exponents.
"""

import struct
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from airgap.codec import zstd
from airgap.codec.buffer import Buffer
from airgap.errors import CorruptError

__all__ = ["WIDTHS", "Elements", "decode", "encode", "join", "split", "to_bytes"]

WIDTHS: Final = (2, 4, 8)

Elements = npt.NDArray[np.unsignedinteger]
Plane = npt.NDArray[np.uint8]

_HEADER: Final = struct.Struct(">B")  # element width
_PLANE: Final = struct.Struct(">BI")  # 0 raw or 1 zstd, stored length
_RAW: Final = 0
_ENTROPY: Final = 1

_SAMPLE: Final = 8 * 1024
_NOISE_BITS: Final = 7.9
"""Bits per byte. A plane whose sample has more is considered noise and stored raw."""


def encode(plain: bytes, width: int) -> bytes:
    """Encode elements of ``width`` bytes (2, 4 or 8); an incomplete last element stays as it is."""
    count = len(plain) // width
    elements = np.frombuffer(plain, f"<u{width}", count)
    return _store(width, _rotated_planes(elements), plain[count * width :])


def decode(stored: Buffer, plain_length: int) -> Buffer:
    """Decode a block of ``plain_length`` plain bytes.

    Raises:
        CorruptError: lengths do not add up, or a plane does not decode to exactly its length.
    """
    rotated, rest = join(stored, plain_length, WIDTHS)
    return to_bytes(_rotate_right(rotated), rest)


def split(elements: Elements, rest: bytes) -> bytes:
    """Encode elements as one plane for each of their bytes, followed by ``rest``."""
    planes = (_take_bits(elements, 8 * number) for number in range(elements.itemsize))
    return _store(elements.itemsize, planes, rest)


def join(stored: Buffer, plain_length: int, widths: Collection[int]) -> tuple[Elements, Buffer]:
    """Decode planes: return the elements, and the bytes that follow the last whole one.

    Raises:
        CorruptError: see ``decode``; or the element width is not in ``widths``.
    """
    if not stored or stored[0] not in widths:
        raise _corrupt_error("has no valid element width")
    width = stored[0]
    count = plain_length // width
    view, at = memoryview(stored), _HEADER.size
    planes: list[Plane] = []
    for _ in range(width):
        plane, at = _read_plane(view, at, count)
        planes.append(plane)
    rest = view[at:]
    if len(rest) != plain_length - count * width:
        raise _corrupt_error("has too many or too few bytes after its planes")
    elements = planes.pop().astype(f"<u{width}")
    while planes:
        elements <<= elements.dtype.type(8)
        elements |= planes.pop()
    return elements, rest


def to_bytes(elements: Elements, rest: Buffer) -> Buffer:
    """Return the bytes of the elements, followed by ``rest``."""
    data = elements.view(np.uint8).data
    return b"".join([data, rest]) if len(rest) else data


def _read_plane(stored: memoryview, at: int, count: int) -> tuple[Plane, int]:
    if at + _PLANE.size > len(stored):
        raise _corrupt_error("ends within its planes")
    kind, length = _PLANE.unpack_from(stored, at)
    at += _PLANE.size
    body = stored[at : at + length]
    if len(body) != length or kind not in (_RAW, _ENTROPY):
        raise _corrupt_error("ends within a plane, or has an unknown kind of plane")
    plain = zstd.decode(body, count) if kind == _ENTROPY else body
    if len(plain) != count:
        raise _corrupt_error(f"has a plane of {len(plain)} bytes (expected {count})")
    return np.frombuffer(plain, np.uint8), at + length


def _store(width: int, planes: Iterable[Plane], rest: bytes) -> bytes:
    """Return the block of these planes; each is made when the one before it is coded."""
    parts: list[bytes | memoryview] = [_HEADER.pack(width)]
    for number, plane in enumerate(planes, 1):
        # The highest plane has most of the exponent: to look whether it is noise only takes time.
        is_raw = number < width and _is_noise(plane)
        stored = plane.data if is_raw else _compress(plane)
        kind = _RAW if len(stored) == len(plane) else _ENTROPY
        parts += [_PLANE.pack(kind, len(stored)), stored]
    return b"".join([*parts, rest])


def _rotated_planes(elements: Elements) -> Iterator[Plane]:
    """Yield the planes of elements rotated left by one bit, without making those elements.

    Only the lowest plane has bits of both ends: the sign, and the low seven bits.
    """
    low = elements.astype(np.uint8)
    np.add(low, low, out=low)
    sign = elements.view(f"<i{elements.itemsize}") < 0
    yield np.bitwise_or(low, sign.view(np.uint8), out=low)
    for number in range(1, elements.itemsize):
        yield _take_bits(elements, 8 * number - 1)


def _take_bits(elements: Elements, low: int) -> Plane:
    """Take eight bits of every element, from bit ``low`` up; no wider element is made in between.

    NumPy shifts a few thousand elements at a time, and narrows them in the processor's cache.
    """
    if not low:
        return elements.astype(np.uint8)
    plane = np.empty(len(elements), np.uint8)
    kind = elements.dtype
    np.right_shift(elements, kind.type(low), out=plane, casting="unsafe", dtype=kind)
    return plane


def _rotate_right(elements: Elements) -> Elements:
    """Move the sign bit back to the high end, in place."""
    integer = elements.dtype.type
    sign = elements << integer(8 * elements.itemsize - 1)
    elements >>= integer(1)
    elements |= sign
    return elements


def _is_noise(plane: Plane) -> bool:
    """Tell from a sample whether a plane is not worth compressing."""
    if len(plane) < 2 * _SAMPLE:
        return False
    sample = plane[:: len(plane) // _SAMPLE][:_SAMPLE]
    counts = np.bincount(sample, minlength=256)
    shares = counts[counts > 0] / len(sample)
    return float(-(shares * np.log2(shares)).sum()) > _NOISE_BITS


def _compress(plane: Plane) -> Buffer:
    stored = zstd.encode_entropy(plane.data)
    return stored if len(stored) < len(plane) else plane.data


def _corrupt_error(problem: str) -> CorruptError:
    return CorruptError(
        f"A block of byte planes {problem}.", "Ask the sender to export the bundle again."
    )
