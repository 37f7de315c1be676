"""The SHA-256 of a file's content."""

import hashlib
import os
from pathlib import Path
from typing import Final

from airgap.disk.reading import open_regular

__all__ = ["digest_file", "has_digest"]

_PIECE_BYTES: Final = 256 * 1024


def digest_file(path: Path) -> bytes:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
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
