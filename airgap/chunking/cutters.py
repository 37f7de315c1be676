"""How a file is cut into chunks: by its own structure where that is known, else by content.

The bytes of a file are taken in order and returned as pieces: joined, they are the file; each has
1 byte to 4 MiB (format §4.2). Cutting never fails: a header that is not understood, or that lies,
only makes the file be cut by content.

A format is one row in ``plan``: a function from a file, of which it may look at 32 MiB, to the
file's regions in order, or None if it is another format.
"""

from collections.abc import Callable, Iterator

from airgap.chunking.pieces import Peekable, Piece, Readable, Region
from airgap.chunking.sizes import SMALLEST

__all__ = ["cut", "max_pieces", "plan"]


def cut(file: Readable) -> Iterator[Piece]:
    """Cut a file."""
    if file.size <= SMALLEST:
        whole = file.read(file.size)
        if whole:
            yield Piece(whole)
        return
    from airgap.chunking import content, regions

    yield from regions.cut(file.read, plan(file))
    yield from map(Piece, content.cut(iter(lambda: file.read(content.READ_BYTES), b"")))


def plan(file: Peekable) -> list[Region]:
    """Return the regions of a file in order, as far as its format is known."""
    from airgap.chunking import gguf, npy, safetensors, zip_members

    plans: tuple[Callable[[Peekable], list[Region] | None], ...] = (
        safetensors.plan,
        gguf.plan,
        npy.plan,
        zip_members.plan,
    )
    return next(filter(None, (one(file) for one in plans)), [])


def max_pieces(size: int) -> int:
    """Return a number of pieces that a file of ``size`` bytes cannot exceed."""
    # A piece below SMALLEST either ends a region that is not, or is followed by one that is not.
    return min(size, 3 * (size // SMALLEST) + 3)
