"""A bundle that can be read whole: its manifest, and where its missing chunks lie (format §4.2)."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from airgap.errors import CorruptError, MissingError
from airgap.format.manifest import NO_BASE, Block, Manifest, Pack
from airgap.printable import count_text

__all__ = ["ChunkSource", "ReadableBundle", "list_missing", "make_readable"]

_DEEPEST: Final = 100
"""How many differences may lie on each other."""


@dataclass(frozen=True, slots=True)
class ChunkSource:
    """A chunk, by its index in the manifest of the bundle that carries it."""

    bundle: "Carrier"
    chunk: int

    @property
    def base(self) -> int:
        """The index, in the same manifest, of the chunk that it is a difference of, or NO_BASE."""
        return self.bundle.locate(self.chunk)[1].base


@dataclass(frozen=True)
class Carrier:
    """A manifest whose packs are in the depot, and where each of its chunks is in them."""

    manifest: Manifest
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note the first chunk of each pack."""
        starts = tuple(pack.chunk_range.start for pack in self.manifest.packs)
        object.__setattr__(self, "_starts", starts)

    def locate(self, chunk: int) -> tuple[Pack, Block]:
        """Return the pack and the block that have a carried chunk."""
        pack = self.manifest.packs[bisect_right(self._starts, chunk) - 1]
        at = bisect_right(pack.blocks, chunk, key=lambda block: block.first_chunk) - 1
        return pack, pack.blocks[at]


@dataclass(frozen=True)
class ReadableBundle:
    """A bundle of which every chunk has a source."""

    own: Carrier
    others: Mapping[bytes, ChunkSource]
    """Where the chunks are that it needs and does not carry, and those that these need."""

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self.own.manifest

    def find(self, chunk: int) -> ChunkSource:
        """Return where a chunk of the manifest is."""
        return self.follow(ChunkSource(self.own, chunk))

    def find_base(self, source: ChunkSource) -> ChunkSource | None:
        """Return where the chunk is that another one is a difference of; None if it is none."""
        base = source.base
        return None if base == NO_BASE else self.follow(ChunkSource(source.bundle, base))

    def follow(self, source: ChunkSource) -> ChunkSource:
        """Return where a chunk is that the bundle which names it may lack.

        Raises:
            MissingError: no bundle has it.
        """
        manifest = source.bundle.manifest
        if source.chunk < manifest.carried:
            return source
        digest = manifest.chunks.digest(source.chunk)
        if digest not in self.others:
            raise MissingError(
                f"The chunk {digest.hex()} is in none of the depot's bundles.",
                "Bring the bundle that it was exported against.",
            )
        return self.others[digest]


def list_missing(manifest: Manifest) -> frozenset[bytes]:
    """Return the digests of the chunks that a bundle needs and does not carry (format §4.2)."""
    table = manifest.chunks
    return frozenset(map(table.digest, range(manifest.carried, len(table))))


def make_readable(manifest: Manifest, others: Iterable[Manifest] = ()) -> ReadableBundle:
    """Find every chunk that a bundle needs in its own packs or in those of others.

    Raises:
        MissingError: some are in none of them.
        CorruptError: differences lie on each other in a circle, or too deep.
    """
    carriers = [Carrier(other) for other in others] if list_missing(manifest) else []
    found: dict[bytes, ChunkSource] = {}
    wanted = list_missing(manifest)
    while wanted:
        fresh = _search(carriers, wanted)
        found |= fresh
        needed = {
            source.bundle.manifest.chunks.digest(source.base)
            for source in fresh.values()
            if source.base != NO_BASE and source.base >= source.bundle.manifest.carried
        }
        wanted = frozenset(needed - found.keys())
        absent = list_missing(manifest) - found.keys()
        if absent:
            raise MissingError(
                f"{count_text(len(absent), 'chunk')} of what it needs and does not carry"
                " are in no bundle that is served.",
                "Bring the bundle that it was exported against.",
            )
    readable = ReadableBundle(Carrier(manifest), found)
    _refuse_circles(readable)
    return readable


def _search(carriers: Iterable[Carrier], wanted: frozenset[bytes]) -> dict[bytes, ChunkSource]:
    """Return where chunks are carried, whole if any bundle has them so."""
    found: dict[bytes, ChunkSource] = {}
    for carrier in carriers:
        table = carrier.manifest.chunks
        for chunk in range(carrier.manifest.carried):
            digest = table.digest(chunk)
            if digest in wanted and (digest not in found or found[digest].base != NO_BASE):
                found[digest] = ChunkSource(carrier, chunk)
    return found


def _refuse_circles(readable: ReadableBundle) -> None:
    for source in readable.others.values():
        depth, step = 0, readable.find_base(source)
        while step is not None and depth < _DEEPEST:
            depth, step = depth + 1, readable.find_base(step)
        if step is not None:
            raise CorruptError(
                f"More than {_DEEPEST} differences lie on each other.",
                "Ask the sender for a bundle that is whole.",
            )
