"""Codec 3: element differences against a base chunk (format §5.4).

Fine-tuning moves every weight a little. The difference of the bits of two close numbers of the same
sign is a small integer; its high byte is nearly always zero.
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
    """Store what changed from ``base``, of the same length, in elements of ``width`` bytes."""
    whole = len(plain) // width * width
    new, old = (np.frombuffer(one, f"<u{width}", whole // width) for one in (plain, base))
    return planes.split(_to_small(new - old), plain[whole:])


def decode(stored: Buffer, base: bytes, plain_length: int) -> Buffer:
    """Return the ``plain_length`` bytes that were stored.

    Raises:
        CorruptError: the base has another length, or as ``planes.decode``.
    """
    if len(base) != plain_length:
        raise CorruptError(
            f"A difference of {plain_length} bytes has a base of {len(base)}.",
            "The bundle was made wrongly: ask the sender to export it again.",
        )
    small, rest = planes.join(stored, plain_length, WIDTHS)
    change = _from_small(small)
    old = np.frombuffer(base, change.dtype, len(change))
    return planes.to_bytes(np.add(old, change, out=change), rest)


def _to_small(change: Elements) -> Elements:
    """Map 0, -1, 1, -2 and so on to 0, 1, 2, 3 and so on."""
    kind = change.dtype.type
    sign = change >> kind(8 * change.itemsize - 1)
    small: Elements = (change << kind(1)) ^ (~sign + kind(1))  # all ones where it is negative
    return small


def _from_small(small: Elements) -> Elements:
    kind = small.dtype.type
    change: Elements = (small >> kind(1)) ^ (~(small & kind(1)) + kind(1))
    return change
