"""The choice of a cutter for a file: the seam for cuts that know a file's format.

A cutter takes the bytes of a file in order and returns them as chunks: joined, they are the
file; each has 1 byte to 4 MiB (format §4.2). Tensor-wise and zip-wise cutters are further
rows of ``cutter_for``; when they meet a header they do not understand they cut by content.
"""

from collections.abc import Iterator
from typing import Protocol

from airgap.chunking.sizes import SMALLEST

__all__ = ["Cutter", "cutter_for"]


class Cutter(Protocol):
    """Cuts one file."""

    def cut(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Cut a file, given as successive non-empty pieces of any length, into chunks."""
        ...

    def most_chunks(self, size: int) -> int:
        """Return a number of chunks that a file of ``size`` bytes cannot exceed."""
        ...


class OneChunk:
    """A file too small to cut."""

    def cut(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the whole file, if it is not empty."""
        whole = b"".join(pieces)
        if whole:
            yield whole

    def most_chunks(self, size: int) -> int:
        """Return 1, or 0 for an empty file."""
        return min(size, 1)


def cutter_for(size: int) -> Cutter:
    """Choose how to cut a file of ``size`` bytes."""
    if size <= SMALLEST:
        return OneChunk()
    from airgap.chunking.content import ByContent  # noqa: PLC0415  (numpy is slow to import)

    return ByContent()
