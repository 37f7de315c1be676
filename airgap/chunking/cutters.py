"""The choice of a cutter for a file: the seam for cuts that know a file's format.

A cutter takes the bytes of a file in order and returns them as chunks: joined, they are the
file; each has 1 byte to 4 MiB (format §4.2). Tensor-wise and zip-wise cutters are further
rows of ``cutter_for``; when they meet a header they do not understand they cut by content.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from airgap.format import limits

__all__ = ["READ_BYTES", "Cutter", "cutter_for"]

READ_BYTES: Final = limits.MIB


class Cutter(Protocol):
    """Cuts one file."""

    def cut(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Cut a file, given as successive non-empty pieces of any length, into chunks."""
        ...


class OneChunk:
    """A file too small to cut."""

    def cut(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the whole file, if it is not empty."""
        whole = b"".join(pieces)
        if whole:
            yield whole


def cutter_for(size: int) -> Cutter:
    """Choose how to cut a file of ``size`` bytes."""
    from airgap.chunking.content import SMALLEST, ByContent  # noqa: PLC0415  (numpy is slow to import)

    return OneChunk() if size <= SMALLEST else ByContent()
