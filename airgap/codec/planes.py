"""Codec 2: byte planes (format §5.3). Floating-point numbers, taken apart by what their bytes mean.

The high bytes of neighbouring weights are alike (their exponents are), the low ones are noise. Byte
i of every element forms plane i; a plane is stored raw, or as a zstd frame that codes entropy and
looks for no matches. The sign bit is moved to the low end first, so that it does not disturb the
exponents.
"""

import struct
from collections.abc import Collection
from typing import Final

import numpy as np
import numpy.typing as npt

from airgap.codec import zstd
from airgap.codec.buffer import Buffer
from airgap.errors import CorruptError

__all__ = ["WIDTHS", "Elements", "decode", "encode", "join", "split", "to_bytes"]

WIDTHS: Final = (2, 4, 8)

Elements = npt.NDArray[np.unsignedinteger]

_HEADER: Final = struct.Struct(">B")  # element width
_PLANE: Final = struct.Struct(">BI")  # 0 raw or 1 zstd, stored length
_RAW: Final = 0
_ENTROPY: Final = 1

_SAMPLE: Final = 16 * 1024
_NOISE_BITS: Final = 7.9
"""Bits per byte above which a sample of a plane is taken for noise, and the plane left raw."""


def encode(plain: bytes, width: int) -> bytes:
    """Store elements of ``width`` bytes (2, 4 or 8); a last incomplete element is kept as it is."""
    count = len(plain) // width
    elements = np.frombuffer(plain, f"<u{width}", count)
    return split(_rotate_left(elements), plain[count * width :])


def decode(stored: Buffer, plain_length: int) -> Buffer:
    """Return the ``plain_length`` bytes that were stored.

    Raises:
        CorruptError: lengths do not add up, or a plane does not decode to exactly its length.
    """
    rotated, rest = join(stored, plain_length, WIDTHS)
    return to_bytes(_rotate_right(rotated), rest)


def split(elements: Elements, rest: bytes) -> bytes:
    """Store each byte of the elements in a plane of its own, then the bytes that follow them."""
    out = [_HEADER.pack(elements.itemsize)]
    for plane in range(elements.itemsize):
        data = _plane(elements, plane)
        stored = data.tobytes() if _is_noise(data) else _compress(data)
        kind = _RAW if len(stored) == len(data) else _ENTROPY
        out += [_PLANE.pack(kind, len(stored)), stored]
    return b"".join([*out, rest])


def join(stored: Buffer, plain_length: int, widths: Collection[int]) -> tuple[Elements, Buffer]:
    """Return the elements whose planes were stored, and the bytes that follow them.

    Raises:
        CorruptError: as ``decode``; or their width is none of ``widths``.
    """
    if not stored or stored[0] not in widths:
        raise _broken("has no element width")
    width = stored[0]
    count = plain_length // width
    view, at = memoryview(stored), _HEADER.size
    planes: list[npt.NDArray[np.uint8]] = []
    for _ in range(width):
        data, at = _read_plane(view, at, count)
        planes.append(data)
    rest = view[at:]
    if len(rest) != plain_length - count * width:
        raise _broken("has too many or too few bytes after its planes")
    joined = planes.pop().astype(f"<u{width}")
    while planes:
        joined <<= joined.dtype.type(8)
        joined |= planes.pop()
    return joined, rest


def to_bytes(elements: Elements, rest: Buffer) -> Buffer:
    """Return the bytes of the elements, and then those that follow them."""
    data = elements.view(np.uint8).data
    return b"".join([data, rest]) if len(rest) else data


def _read_plane(stored: memoryview, at: int, count: int) -> tuple[npt.NDArray[np.uint8], int]:
    if at + _PLANE.size > len(stored):
        raise _broken("ends within its planes")
    kind, length = _PLANE.unpack_from(stored, at)
    at += _PLANE.size
    body = stored[at : at + length]
    if len(body) != length or kind not in (_RAW, _ENTROPY):
        raise _broken("ends within a plane, or has an unknown kind of plane")
    plain = zstd.decode(body, count) if kind == _ENTROPY else body
    if len(plain) != count:
        raise _broken("has a plane of another length")
    return np.frombuffer(plain, np.uint8), at + length


def _plane(elements: npt.NDArray[np.unsignedinteger], plane: int) -> npt.NDArray[np.uint8]:
    """Take byte ``plane``, counted from the low end, of every element."""
    return (elements >> elements.dtype.type(8 * plane)).astype(np.uint8)


def _rotate_left(elements: Elements) -> Elements:
    """Move the sign bit to the low end."""
    kind = elements.dtype.type
    sign = elements >> kind(8 * elements.itemsize - 1)
    joined: Elements = np.bitwise_or(elements << kind(1), sign, out=sign)
    return joined


def _rotate_right(elements: Elements) -> Elements:
    """Move the sign bit back to the high end, in place."""
    kind = elements.dtype.type
    sign = elements << kind(8 * elements.itemsize - 1)
    elements >>= kind(1)
    elements |= sign
    return elements


def _is_noise(plane: npt.NDArray[np.uint8]) -> bool:
    """Tell from a sample whether compressing a plane is not worth the time."""
    if len(plane) < 2 * _SAMPLE:
        return False
    sample = plane[:: len(plane) // _SAMPLE][:_SAMPLE]
    counts = np.bincount(sample, minlength=256)
    shares = counts[counts > 0] / len(sample)
    return float(-(shares * np.log2(shares)).sum()) > _NOISE_BITS


def _compress(plane: npt.NDArray[np.uint8]) -> bytes:
    stored = zstd.encode_entropy(plane.data)
    return stored if len(stored) < len(plane) else plane.tobytes()


def _broken(why: str) -> CorruptError:
    return CorruptError(f"A block of byte planes {why}.", "Ask the sender to export it again.")
