"""Reads the file that is uploaded, in blocks that may be waited for."""

from collections.abc import Generator
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import StorageError
from airgap.transport.port import Pace

__all__ = ["read_blocks"]

_BLOCK_BYTES: Final = 1024 * 1024


def read_blocks(source: Path, size: int, pace: Pace | None) -> Generator[bytes]:
    """Read a file of exactly ``size`` bytes in blocks; ``pace`` is called before each.

    Raises:
        StorageError: it cannot be read, or has another size.
    """
    with translate_errors(source):
        file = source.open("rb", buffering=0)
    with file:
        left = size
        while left:
            with translate_errors(source):
                block = file.read(min(left, _BLOCK_BYTES))
            if not block:
                break
            if pace is not None:
                pace(len(block))
            left -= len(block)
            yield block
        if left or file.read(1):
            raise StorageError(
                f"{source} changed while it was copied.", "Run the same command again."
            )
