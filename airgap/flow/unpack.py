"""From packs to plain chunks: read once, authenticated, decoded, compared (format §11)."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain, pairwise
from typing import Final

from airgap.codec.table import RAW, Piece, decode
from airgap.errors import AirgapError, CorruptError
from airgap.flow.bundles import Opened
from airgap.flow.media.volumes import VolumesReader
from airgap.flow.pipeline import ahead, in_order, workers
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.format.manifest import NO_BASE, Block, ChunkTable, Manifest, Pack

__all__ = ["Work", "plain_chunks"]

PACKS_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with the chunks. Threads ask with a chunk's index, in any order."""

    name: str
    """For people: "verifying" or "importing"."""
    wanted: Callable[[int], bool]
    """Whether anybody needs it: a block of which no chunk is wanted is not decoded."""
    covered: Callable[[int], bool]
    """Whether something else than its own digest will tell if it is right (format §11)."""
    land: Callable[[int, Piece], None] | None
    """Take its plain bytes, before it is yielded; None if nobody does."""
    settle: Callable[[], None]
    """Be done with all chunks that were yielded: their pack is to leave memory."""
    base: Callable[[int], bytes]
    """Return the bytes of a needed chunk, for differences (format §5.4)."""
    failed: dict[int, AirgapError] = field(default_factory=dict)
    """Packs that are damaged or missing; complete when all chunks have been yielded."""


def plain_chunks(
    opened: Opened, wanted: Collection[int], work: Work, jobs: int, progress: Progress
) -> Iterator[tuple[int, Piece]]:
    """Yield index and plain bytes of every wanted chunk of the wanted packs, in order, verified.

    A pack that is damaged or missing is taken from another place, or made again from parity, where
    that can be; else it is told in ``work.failed``.
    """
    manifest, reader = opened.manifest.value, opened.reader
    progress.begin(work.name, sum(manifest.packs[index].size for index in wanted))
    try:
        with workers(1) as hasher, workers(jobs) as pool:
            unpacking = _Unpacking(manifest.chunks, work, pool, ahead(jobs))
            packs = reader.read_packs(manifest.packs, wanted)
            authentic = in_order(hasher, partial(_authenticate, manifest), packs, PACKS_AHEAD)
            if isinstance(reader, VolumesReader):
                authentic = reader.mended(manifest.packs, authentic, progress)
            for index, data in authentic:
                if isinstance(data, AirgapError):
                    work.failed[index] = data
                    continue
                yield from unpacking.chunks(manifest.packs[index], data)
                work.settle()
                progress.advance(manifest.packs[index].size)
                del data  # before the next pack is read: two are in memory, not three
    finally:
        progress.end()


def _authenticate(
    manifest: Manifest, one: tuple[int, bytes | AirgapError]
) -> tuple[int, bytes | AirgapError]:
    """Compare a pack's digest with the manifest's before any of it is decoded."""
    index, data = one
    pack = manifest.packs[index]
    if isinstance(data, AirgapError):
        return index, data
    found = hashlib.sha256(data).digest()
    if found == pack.digest:
        return index, data
    return index, CorruptError(
        f"{layout.pack_name(pack.digest)} reads as {found.hex()[:12]}….",
        "It was changed or damaged on the way: copy this file from its source again.",
    )


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """What it takes to turn an authentic pack into chunks."""

    table: ChunkTable
    work: Work
    pool: ThreadPoolExecutor
    most: int

    def chunks(self, pack: Pack, data: bytes) -> Iterator[tuple[int, Piece]]:
        """Decode the blocks of a pack; chunks that nothing else covers are compared."""
        unpack = partial(self._unpack, pack, memoryview(data))
        if all(map(self._is_nothing, pack.blocks)):  # to hand it to a thread would take longer
            made: Iterable[list[tuple[int, Piece]]] = map(unpack, pack.blocks)
        else:
            made = in_order(self.pool, unpack, pack.blocks, self.most)
        return chain.from_iterable(made)

    def _unpack(self, pack: Pack, view: memoryview, block: Block) -> list[tuple[int, Piece]]:
        numbers = range(block.first_chunk, block.first_chunk + block.chunk_count)
        if not any(map(self.work.wanted, numbers)):
            return []
        stored = view[block.offset : block.offset + block.stored_length]
        base = b"" if block.base == NO_BASE else self.work.base(block.base)
        made = list(_decoded(self.table, block, stored, base))
        for chunk, piece in made:
            if not self.work.covered(chunk):
                _compare(self.table, pack, chunk, piece)
            if self.work.land:
                self.work.land(chunk, piece)
        return made

    def _is_nothing(self, block: Block) -> bool:
        """Tell whether there is nothing to decode, to compare or to write."""
        numbers = range(block.first_chunk, block.first_chunk + block.chunk_count)
        covered = map(self.work.covered, numbers)
        return self.work.land is None and block.codec == RAW and all(covered)


def _decoded(
    table: ChunkTable, block: Block, stored: Piece, base: bytes
) -> Iterator[tuple[int, Piece]]:
    """Decode a block, and take it apart."""
    last = block.first_chunk + block.chunk_count
    ends = list(accumulate(table.lengths[block.first_chunk : last]))
    plain = decode(block.codec, stored, ends[-1], base)
    for chunk, (start, end) in enumerate(pairwise([0, *ends]), block.first_chunk):
        yield chunk, plain[start:end]


def _compare(table: ChunkTable, pack: Pack, chunk: int, plain: Piece) -> None:
    if hashlib.sha256(plain).digest() != table.digest(chunk):
        raise CorruptError(
            f"A chunk of pack {pack.digest.hex()[:12]}… does not have the digest that its own"
            " signed manifest gives it.",
            "The bundle was made wrongly: ask the sender to export it again.",
        )
