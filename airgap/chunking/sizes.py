"""How long chunks are, in bytes."""

from typing import Final

from airgap.format import limits

__all__ = ["AVERAGE", "LARGEST", "SMALLEST"]

SMALLEST: Final = 256 * limits.KIB
AVERAGE: Final = limits.MIB
LARGEST: Final = limits.CHUNK_BYTES
