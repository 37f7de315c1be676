"""Cuts files into chunks: by their own structure if their format is known, else by content.

A file is read in order and returned as pieces of 1 byte to 4 MiB (format §4.2) that together are
the file. Cutting never fails: a file whose header is unknown or wrong is cut by content.

To add a file format, add a row to ``plans`` in ``plan``: a function that reads at most 32 MiB of a
file and returns its regions in order, or None if the file has another format.
"""

from collections.abc import Callable, Iterator

from airgap.chunking.pieces import Peekable, Piece, Readable, Region
from airgap.chunking.sizes import SMALLEST

__all__ = ["cut", "max_pieces", "max_pieces_of_wheel", "plan"]


def cut(file: Readable) -> Iterator[Piece]:
    """Cut a file."""
    if file.size <= SMALLEST:
        plain = file.read(file.size)
        if plain:
            yield Piece(plain)
        return
    from airgap.chunking import content, regions

    yield from regions.cut(file.read, plan(file))
    yield from map(Piece, content.cut(iter(lambda: file.read(content.READ_BYTES), b"")))


def plan(file: Peekable) -> list[Region]:
    """Return the regions of a file in order; none if its format is unknown."""
    from airgap.chunking import gguf, npy, safetensors, zip_members

    plans: tuple[Callable[[Peekable], list[Region] | None], ...] = (
        safetensors.plan,
        gguf.plan,
        npy.plan,
        zip_members.plan_wheel,
        zip_members.plan,
    )
    return next(filter(None, (plan_format(file) for plan_format in plans)), [])


def max_pieces(size: int) -> int:
    """Return an upper bound on the number of pieces of a file of ``size`` bytes."""
    # A piece below SMALLEST ends a region of at least SMALLEST, or is followed by such a region.
    return min(size, 3 * (size // SMALLEST) + 3)


def max_pieces_of_wheel(file: Peekable) -> int:
    """Return an upper bound on the number of pieces of a wheel, which are smaller than others'."""
    from airgap.chunking import regions

    if file.size <= SMALLEST:
        return max_pieces(file.size)
    lengths = [length for _, _, length in regions.spans(plan(file))]
    return len(lengths) + max_pieces(max(0, file.size - sum(lengths)))
