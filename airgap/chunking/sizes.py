"""Sizes of chunks, in bytes."""

from typing import Final

from airgap.format import limits

__all__ = ["HEAD", "LARGEST", "PIECE", "SMALLEST"]

SMALLEST: Final = 256 * limits.KIB
PIECE: Final = limits.MIB
"""The average distance of cuts by content, and the size of the pieces of a region."""
LARGEST: Final = limits.CHUNK_BYTES
HEAD: Final = 32 * limits.MIB
"""The most that is read of a file to find its structure."""
