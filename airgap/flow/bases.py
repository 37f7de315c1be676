"""What the other side holds already, and what new chunks may be differences of."""

from bisect import bisect_right
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from airgap.chunking import regions
from airgap.chunking.cutters import plan
from airgap.flow.selection import Source
from airgap.flow.supplies import Shelf, Supplies
from airgap.format.inventory import File
from airgap.format.manifest import ChunkTable

__all__ = ["NO_BASES", "Bases", "Wanted", "bases_of"]

Resembling = Mapping[tuple[str, int, int], bytes]
"""Digests of base chunks by part of the file, offset in it, and length, in bytes."""
_NOTHING: Final[Resembling] = MappingProxyType({})


@dataclass(frozen=True)
class Bases:
    """The chunks that the other side holds."""

    held: Container[bytes] = frozenset()
    """Their digests."""
    shelves: Sequence[Shelf] = ()
    supplies: Supplies = field(default_factory=Supplies)

    def resembling(self, source: Source, path: str) -> Resembling:
        """Return what the other side holds of the same file of another version of an item.

        The last bundle that has the file counts.
        """
        for shelf in reversed(self.shelves):
            for item in shelf.manifest.items:
                if (item.kind, item.name) != (source.kind, source.name):
                    continue
                for file in item.files:
                    if file.path == path and len(file.chunks) > 1:
                        return _parts_of(file, shelf.manifest.chunks, self.supplies)
        return _NOTHING

    def read(self, digest: bytes) -> bytes | None:
        """Return a base chunk's bytes, compared with its digest; None if they are not here."""
        return self.supplies.read(digest)


NO_BASES: Final = Bases()


class Wanted:
    """All chunks but those that the other side asked for."""

    def __init__(self, wanted: Container[bytes]) -> None:
        """Take the digests that it asked for."""
        self._wanted = wanted

    def __contains__(self, digest: object) -> bool:
        """Tell whether the other side has it, or can do without it."""
        return digest not in self._wanted


def bases_of(shelves: Sequence[Shelf]) -> Bases:
    """Return what somebody holds who has imported these bundles."""
    held = {
        shelf.manifest.chunks.digest(chunk)
        for shelf in shelves
        for item in shelf.manifest.items
        for file in item.files
        for chunk in file.chunks
    }
    return Bases(frozenset(held), tuple(shelves), Supplies(shelves))


def _parts_of(file: File, table: ChunkTable, supplies: Supplies) -> Resembling:
    """Cut a file of a bundle again, as far as it can be read, to learn what its chunks are."""
    supplies.locate(map(table.digest, file.chunks))
    chunks = _Chunks(file, table, supplies)
    found, offset = {}, 0
    for region, within, length in regions.spans(plan(chunks)):
        chunk = chunks.starting_at(offset)
        if chunk is not None and table.lengths[chunk] == length and region.name:
            found[region.name, within, length] = table.digest(chunk)
        offset += length
    return found


class _Chunks:
    """A file of a bundle, looked into chunk by chunk; a chunk that is not here reads as nothing."""

    def __init__(self, file: File, table: ChunkTable, supplies: Supplies) -> None:
        self.size = file.size
        self._chunks = file.chunks
        self._table = table
        self._supplies = supplies
        lengths = [table.lengths[chunk] for chunk in file.chunks]
        self._starts = list(accumulate(lengths, initial=0))[:-1]
        self._at_start = dict(zip(self._starts, file.chunks, strict=True))

    def starting_at(self, offset: int) -> int | None:
        """Return the chunk that begins there."""
        return self._at_start.get(offset)

    def read(self, count: int) -> bytes:
        """Not needed: nothing is read from beginning to end."""
        raise NotImplementedError(count)

    def peek(self, offset: int, count: int) -> bytes:
        """Return bytes from anywhere, as far as chunks are here."""
        count = min(count, self.size - offset)
        parts: list[bytes] = []
        while count > 0:
            number = bisect_right(self._starts, offset) - 1
            data = self._supplies.read(self._table.digest(self._chunks[number]))
            part = (data or b"")[offset - self._starts[number] :][:count]
            if not part:
                break
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return b"".join(parts)
