"""The parts of a file in a bundle: its tensors or members, and which chunks each of them is."""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate

from airgap.chunking import regions
from airgap.chunking.cutters import plan
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.format.inventory import File
from airgap.format.manifest import ChunkTable

__all__ = ["Parts", "find_parts"]

Parts = Mapping[tuple[str, int, int], bytes]
"""Digests of chunks by part of the file, offset in that part, and length, in bytes."""


def find_parts(file: File, table: ChunkTable, sources: ChunkSources) -> Parts:
    """Cut a file of a bundle again, as far as it can be read, to learn what its chunks are."""
    sources.locate(map(table.digest, file.chunks))
    chunks = _Chunks(file, table, sources)
    parts, offset = {}, 0
    for region, within, length in regions.spans(plan(chunks)):
        chunk = chunks.starting_at(offset)
        if chunk is not None and table.lengths[chunk] == length and region.name:
            parts[region.name, within, length] = table.digest(chunk)
        offset += length
    return parts


class _Chunks:
    """A file of a bundle, read chunk by chunk; a chunk that is missing is read as nothing."""

    def __init__(self, file: File, table: ChunkTable, sources: ChunkSources) -> None:
        self.size = file.size
        self.path = file.path
        self._chunks = file.chunks
        self._table = table
        self._sources = sources
        lengths = [table.lengths[chunk] for chunk in file.chunks]
        self._starts = list(accumulate(lengths, initial=0))[:-1]
        self._at_start = dict(zip(self._starts, file.chunks, strict=True))

    def starting_at(self, offset: int) -> int | None:
        """Return the chunk that begins there."""
        return self._at_start.get(offset)

    def peek(self, offset: int, count: int) -> bytes:
        """Return bytes from anywhere, as far as chunks are here."""
        count = min(count, self.size - offset)
        parts: list[bytes] = []
        while count > 0:
            number = bisect_right(self._starts, offset) - 1
            data = self._sources.read(self._table.digest(self._chunks[number]))
            part = (data or b"")[offset - self._starts[number] :][:count]
            if not part:
                break
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return b"".join(parts)
