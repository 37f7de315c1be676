"""Codec 3: element differences against a base chunk (format §5.4).

Fine-tuning changes every weight a little. Two close numbers of the same sign, read as integers,
differ by a small integer whose high byte is nearly always zero.
"""

from typing import Final

import numpy as np

from airgap.codec import planes
from airgap.codec.buffer import Buffer
from airgap.codec.planes import Elements
from airgap.errors import CorruptError

__all__ = ["WIDTHS", "decode", "encode"]

WIDTHS: Final = (1, 2, 4, 8)


def encode(plain: bytes, base: bytes, width: int) -> bytes:
    """Encode the difference from ``base``, of the same length, in elements of ``width`` bytes."""
    count = len(plain) // width
    new, old = (np.frombuffer(chunk, f"<u{width}", count) for chunk in (plain, base))
    return planes.split(_zigzag(new - old), plain[count * width :])


def decode(stored: Buffer, base: bytes, plain_length: int) -> Buffer:
    """Decode a block of ``plain_length`` plain bytes.

    Raises:
        CorruptError: the base has a different length, or see ``planes.decode``.
    """
    if len(base) != plain_length:
        raise CorruptError(
            f"A difference of {plain_length} bytes has a base of {len(base)} bytes.",
            "The exporter wrote an invalid bundle: ask the sender to export it again.",
        )
    zigzag, rest = planes.join(stored, plain_length, WIDTHS)
    change = _unzigzag(zigzag)
    old = np.frombuffer(base, change.dtype, len(change))
    return planes.to_bytes(np.add(old, change, out=change), rest)


def _zigzag(change: Elements) -> Elements:
    """Map 0, -1, 1, -2 and so on to 0, 1, 2, 3 and so on."""
    integer = change.dtype.type
    sign = change >> integer(8 * change.itemsize - 1)
    zigzag: Elements = (change << integer(1)) ^ (~sign + integer(1))  # all ones if negative
    return zigzag


def _unzigzag(zigzag: Elements) -> Elements:
    integer = zigzag.dtype.type
    change: Elements = (zigzag >> integer(1)) ^ (~(zigzag & integer(1)) + integer(1))
    return change
