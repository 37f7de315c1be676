"""Cuts that follow a file's own structure, so that a tensor that did not change is the same chunks.

Large regions are cut from their own beginning into pieces of 1 MiB; small neighbours are joined.
"""

from collections.abc import Callable, Iterable, Iterator

from airgap.chunking.pieces import Piece, Region
from airgap.chunking.sizes import PIECE, SMALLEST

__all__ = ["cut", "join_small", "spans"]


def cut(read: Callable[[int], bytes], regions: Iterable[Region]) -> Iterator[Piece]:
    """Cut the beginning of a file by its regions; ``read`` returns its next bytes."""
    for region, offset, length in spans(regions):
        taken = read(length)
        if taken:
            yield Piece(taken, region.width, region.name, offset)
        if len(taken) < length:
            return


def spans(regions: Iterable[Region]) -> Iterator[tuple[Region, int, int]]:
    """Yield region, offset in it, and length of every piece in the order of the file."""
    for region in join_small(regions):
        for offset in range(0, region.length, PIECE):
            yield region, offset, min(PIECE, region.length - offset)


def join_small(regions: Iterable[Region]) -> Iterator[Region]:
    """Join neighbours that are too small for a chunk of their own."""
    small: list[Region] = []
    size = 0
    for region in regions:
        if small and (size >= SMALLEST or region.length >= SMALLEST):
            yield _joined(small)
            small, size = [], 0
        if region.length >= SMALLEST:
            yield region
        elif region.length:
            small.append(region)
            size += region.length
    if small:
        yield _joined(small)


def _joined(regions: list[Region]) -> Region:
    widths = {region.width for region in regions}
    ends = dict.fromkeys((regions[0].name, regions[-1].name))
    return Region(
        sum(region.length for region in regions),
        widths.pop() if len(widths) == 1 else 0,
        " … ".join(ends),
    )
