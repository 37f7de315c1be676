"""How a file is cut into chunks: by its own structure where that is known, else by content.

The bytes of a file are taken in order and returned as pieces: joined, they are the file; each has
1 byte to 4 MiB (format §4.2). Cutting never fails: a header that is not understood, or that lies,
only makes the file be cut by content.

A format is one row of ``_plans``: a function from the first bytes of a file and its size to the
file's regions in order, or None if it is another format.
"""

from collections.abc import Callable, Iterator
from itertools import chain

from airgap.chunking.pieces import Piece, Region
from airgap.chunking.sizes import HEAD, SMALLEST

__all__ = ["cut", "most_pieces"]


def cut(blocks: Iterator[bytes], size: int) -> Iterator[Piece]:
    """Cut a file of ``size`` bytes, read as successive non-empty blocks of any length."""
    if size <= SMALLEST:
        whole = b"".join(blocks)
        if whole:
            yield Piece(whole)
        return
    from airgap.chunking import content, regions  # noqa: PLC0415  (numpy is slow to import)

    start, rest = _take(blocks, HEAD)
    found = next(filter(None, (plan(start, size) for plan in _plans())), None)
    everything = chain([start], rest)
    if found is None:
        yield from map(Piece, content.cut(everything))
    else:
        yield from regions.cut(everything, found)


def most_pieces(size: int) -> int:
    """Return a number of pieces that a file of ``size`` bytes cannot exceed."""
    # A piece below SMALLEST either ends a region that is not, or is followed by one that is not.
    return min(size, 3 * (size // SMALLEST) + 3)


def _plans() -> tuple[Callable[[bytes, int], list[Region] | None], ...]:
    from airgap.chunking import gguf, npy, safetensors  # noqa: PLC0415

    return safetensors.plan, gguf.plan, npy.plan


def _take(blocks: Iterator[bytes], count: int) -> tuple[bytes, Iterator[bytes]]:
    """Return at least ``count`` bytes, if there are so many, and the blocks that follow."""
    taken: list[bytes] = []
    while count > 0 and (block := next(blocks, b"")):
        taken.append(block)
        count -= len(block)
    return b"".join(taken), blocks
