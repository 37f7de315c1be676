"""The SHA-256 of a file's content."""

import hashlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

from airgap.disk.named_files import open_named
from airgap.disk.reading import open_regular

__all__ = ["SLICE_BYTES", "digest_file", "digest_in_slices", "has_digest"]

SLICE_BYTES: Final = 8 * 1024 * 1024
"""What a server reads of one file before it serves others."""
_PIECE_BYTES: Final = 256 * 1024


def digest_file(path: Path) -> bytes:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: it cannot be read, or is not a file.
    """
    digest = hashlib.sha256()
    with open_named(path) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.digest()


def digest_in_slices(path: Path) -> Generator[None, None, bytes]:
    """Return the SHA-256 of a file's content; yield after each ``SLICE_BYTES``.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_named(path) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            if file.tell() % SLICE_BYTES < _PIECE_BYTES:
                yield
    return digest.digest()


def has_digest(top: Path, name: str, size: int, digest: bytes) -> bool:
    """Tell whether a file has this size and SHA-256; raises as ``open_regular``."""
    actual = hashlib.sha256()
    with open_regular(top, name) as descriptor:
        if os.fstat(descriptor).st_size != size:
            return False
        while piece := os.read(descriptor, _PIECE_BYTES):
            actual.update(piece)
    return actual.digest() == digest
