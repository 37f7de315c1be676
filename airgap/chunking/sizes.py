"""How long chunks are, in bytes."""

from typing import Final

from airgap.format import limits

__all__ = ["HEAD", "LARGEST", "PIECE", "SMALLEST"]

SMALLEST: Final = 256 * limits.KIB
PIECE: Final = limits.MIB
"""Cuts by content come once in this many bytes; regions are cut into pieces of this size."""
LARGEST: Final = limits.CHUNK_BYTES
HEAD: Final = 32 * limits.MIB
"""How much of a file is looked at, at most, to learn its structure."""
