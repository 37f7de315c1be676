"""Cuts that follow a file's own structure, so that a tensor that did not change is the same chunks.

Large regions are cut from their own beginning into pieces of 1 MiB; small neighbours are joined.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from airgap.chunking import content
from airgap.chunking.pieces import Piece, Region
from airgap.chunking.sizes import PIECE, SMALLEST

__all__ = ["cut", "join_small"]


def cut(blocks: Iterator[bytes], regions: Iterable[Region]) -> Iterator[Piece]:
    """Cut a file, read as successive blocks, by its regions; what follows them by content."""
    held = bytearray()
    for region in join_small(regions):
        left = region.length
        while left:
            want = min(left, PIECE)
            while len(held) < want and (block := next(blocks, b"")):
                held += block
            if not held:
                return
            taken = bytes(memoryview(held)[:want])
            del held[:want]
            left -= len(taken)
            yield Piece(taken, region.width)
    rest = chain([bytes(held)] if held else [], blocks)
    yield from map(Piece, content.cut(rest))


def join_small(regions: Iterable[Region]) -> Iterator[Region]:
    """Join neighbours that are too small for a chunk of their own."""
    length, widths = 0, set[int]()
    for region in regions:
        if region.length >= SMALLEST:
            if length:
                yield Region(length, widths.pop() if len(widths) == 1 else 0)
                length, widths = 0, set()
            yield region
            continue
        length += region.length
        widths |= {region.width} if region.length else set()
        if length >= SMALLEST:
            yield Region(length, widths.pop() if len(widths) == 1 else 0)
            length, widths = 0, set()
    if length:
        yield Region(length, widths.pop() if len(widths) == 1 else 0)
