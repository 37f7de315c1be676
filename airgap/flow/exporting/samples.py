"""Samples of what an export will read, from which its size is foreseen.

A sample is a chunk where an export will probably cut one: it is found in bundles by its digest, and
encoded as an export encodes it.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, groupby
from typing import Final, NamedTuple

from airgap.chunking import regions
from airgap.chunking.cutters import plan
from airgap.chunking.pieces import Piece, Region
from airgap.chunking.sizes import LARGEST, PIECE, SMALLEST
from airgap.flow.exporting.select import Source
from airgap.store.source_tree import SourceFile, StableFile

__all__ = ["Extent", "Sample", "drop_copies", "list_extents", "measure_limit", "take_samples"]

_WINDOW: Final = 4 * PIECE
"""Mostly enough for the second cut by content, which does not depend on where the window begins."""

_PROBES: Final = 16
_PROBE_BYTES: Final = 4096


class Extent(NamedTuple):
    """Data of a file, between its holes. Offsets are in bytes."""

    source: Source
    file: SourceFile
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A chunk, and the file that it is of."""

    source: Source
    file: SourceFile
    piece: Piece


def list_extents(sources: Sequence[Source]) -> list[Extent]:
    """List the data of all files, in the order in which an export reads them.

    Of a file that several items hold, such as a blob of a Hugging Face cache, the first one counts.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    extents: list[Extent] = []
    seen: set[tuple[str, tuple[int, int] | None]] = set()
    for source in sources:
        for file in source.tree.files:
            at = file.location, file.within
            if at in seen:
                continue
            seen.add(at)
            extents += [Extent(source, file, begin, end) for begin, end in _list_data(file)]
    return extents


def _list_data(file: SourceFile) -> list[tuple[int, int]]:
    if file.size < 2 * PIECE:  # a hole in it would save nothing
        return [(0, file.size)] if file.size else []
    with StableFile(file) as stable:
        return list(stable.list_data())


def drop_copies(extents: Sequence[Extent]) -> list[Extent]:
    """Leave out files that probably have the content of another: of its size, and alike at probes.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    files = {extent.file: None for extent in extents if extent.file.size >= PIECE}
    sizes = Counter(file.size for file in files)
    seen: dict[tuple[int, bytes], SourceFile] = {}
    copies: set[SourceFile] = set()
    for file in files:
        if sizes[file.size] > 1:
            first = seen.setdefault((file.size, _probe(file)), file)
            copies |= {file} - {first}
    if not copies:
        return list(extents)
    return [extent for extent in extents if extent.file not in copies]


def _probe(file: SourceFile) -> bytes:
    """Return the digest of a few short parts of a file."""
    with StableFile(file) as stable:
        step = max(1, (file.size - _PROBE_BYTES) // (_PROBES - 1))
        parts = (stable.peek(number * step, _PROBE_BYTES) for number in range(_PROBES))
        return sha256(b"".join(parts)).digest()


def measure_limit(extents: Sequence[Extent]) -> int:
    """Return the bytes that the chunks which hold this data cannot exceed.

    Chunks at the ends of an extent may reach into the holes beside it.
    """
    limits: dict[int, int] = {}
    for extent in extents:
        file = id(extent.file)
        most = limits.get(file, 0) + extent.end - extent.begin + 2 * LARGEST
        limits[file] = min(extent.file.size, most)
    return sum(limits.values())


def take_samples(extents: Sequence[Extent], count: int, *, exact: bool) -> Iterator[Sample]:
    """Yield so many samples, at even distances in the data.

    ``exact`` wants chunks exactly as an export cuts them, to be found by their digests. Without it,
    less is read of files that are cut by content.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    ends = list(accumulate(extent.end - extent.begin for extent in extents))
    picked: list[tuple[int, int]] = []
    for number in range(count):
        at = (2 * number + 1) * ends[-1] // (2 * count)
        index = bisect_right(ends, at)
        picked.append((index, extents[index].end - (ends[index] - at)))
    for index, group in groupby(picked, lambda pick: pick[0]):
        extent = extents[index]
        with StableFile(extent.file) as stable:
            cuts = plan(stable) if stable.size > SMALLEST else []
            spans = list(regions.join_small(cuts))
            for _, offset in group:
                yield Sample(
                    extent.source,
                    extent.file,
                    _cut_at(stable, spans, offset, _WINDOW if exact else PIECE),
                )


def _cut_at(file: StableFile, spans: Sequence[Region], offset: int, window: int) -> Piece:
    """Return the chunk that the byte at an offset is in, or one near it.

    ``window`` is how many bytes are read to find one that is cut by content.
    """
    if file.size <= SMALLEST:
        return Piece(file.peek(0, file.size))
    begin = 0
    for span in spans:
        if offset < begin + span.length:
            at = (offset - begin) // PIECE * PIECE
            plain = file.peek(begin + at, min(PIECE, span.length - at))
            return Piece(plain, span.width, span.name, at)
        begin += span.length
    from airgap.chunking import content  # numpy, which only an export needs

    plain = file.peek(min(offset, max(begin, file.size - window)), window)
    chunks = list(content.cut(iter([plain])))
    return Piece(chunks[min(1, len(chunks) - 1)])
