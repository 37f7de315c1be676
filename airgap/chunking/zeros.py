"""Runs of zeros, such as the holes of sparse files, as shared bytes that are known at a glance.

A reader returns these objects for what it need not read. Cutters and hashers recognize the object
and not its content: that costs nothing, and bytes that merely are zeros are treated as any others.
"""

import hashlib
from functools import cache
from types import MappingProxyType
from typing import Final

from airgap.chunking.sizes import LARGEST, PIECE

__all__ = ["digest_chunk", "is_zeros", "zeros"]

_SHARED: Final = MappingProxyType({size: bytes(size) for size in (PIECE, LARGEST)})


def zeros(size: int) -> bytes:
    """Return ``size`` zeros: a shared object if they are as many as a piece or chunk has."""
    return _SHARED.get(size) or bytes(size)


def is_zeros(data: bytes) -> bool:
    """Tell whether a buffer is one of those that ``zeros`` shares."""
    return _SHARED.get(len(data)) is data


def digest_chunk(plain: bytes) -> bytes:
    """Return the SHA-256 of a chunk; that of shared zeros is computed once."""
    return _digest_zeros(len(plain)) if is_zeros(plain) else hashlib.sha256(plain).digest()


@cache
def _digest_zeros(size: int) -> bytes:
    return hashlib.sha256(_SHARED[size]).digest()
