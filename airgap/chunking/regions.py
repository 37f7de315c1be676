"""Cuts that follow a file's own structure: an unchanged tensor gives the same chunks.

Large regions are cut into pieces of 1 MiB, counted from their own beginning; small neighbours are
joined.
"""

from collections.abc import Callable, Iterable, Iterator

from airgap.chunking.pieces import Piece, Region
from airgap.chunking.sizes import PIECE, SMALLEST

__all__ = ["cut", "join_small", "spans"]


def cut(read: Callable[[int], bytes], regions: Iterable[Region]) -> Iterator[Piece]:
    """Cut the beginning of a file along its regions; ``read`` returns its next bytes."""
    for region, offset, length in spans(regions):
        plain = read(length)
        if plain:
            yield Piece(plain, region.width, region.name, offset)
        if len(plain) < length:
            return


def spans(regions: Iterable[Region]) -> Iterator[tuple[Region, int, int]]:
    """Yield each piece in file order: its region, its offset in the region, and its length."""
    for region in join_small(regions):
        for offset in range(0, region.length, PIECE):
            yield region, offset, min(PIECE, region.length - offset)


def join_small(regions: Iterable[Region]) -> Iterator[Region]:
    """Join neighbours that are smaller than a chunk should be."""
    small: list[Region] = []
    size = 0
    for region in regions:
        is_apart = region.is_apart or region.length >= SMALLEST
        if small and (size >= SMALLEST or is_apart):
            yield _join(small)
            small, size = [], 0
        if is_apart and region.length:
            yield region
        elif region.length:
            small.append(region)
            size += region.length
    if small:
        yield _join(small)


def _join(regions: list[Region]) -> Region:
    widths = {region.width for region in regions}
    ends = dict.fromkeys((regions[0].name, regions[-1].name))
    return Region(
        sum(region.length for region in regions),
        widths.pop() if len(widths) == 1 else 0,
        " … ".join(ends),
    )
