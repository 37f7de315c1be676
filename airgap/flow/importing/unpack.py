"""From packs to plain chunks: read once, authenticated, decoded, compared (format §11)."""

import hashlib
import shlex
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from queue import SimpleQueue
from typing import Final, Self

from airgap.carrier.port import PackSource, Volume
from airgap.codec.buffer import Buffer
from airgap.codec.table import RAW, decode
from airgap.disk.buffers import BufferPool
from airgap.errors import AirgapError, CorruptError
from airgap.flow.media.volumes import read_pack, repair_packs
from airgap.flow.pipeline import limit_ahead, map_in_order, run_workers
from airgap.flow.progress import PackItems, Progress
from airgap.flow.workers import Workers
from airgap.format import layout
from airgap.format.manifest import NO_BASE, Block, ChunkTable, Manifest, Pack
from airgap.printable import count_text

__all__ = [
    "ChunkConsumer",
    "Pieces",
    "WantedPacks",
    "count_packs",
    "plain_chunks",
]

Pieces = Sequence[tuple[int, Buffer]]
"""Chunks of one block, in order: the index and the plain bytes of each."""

_LEAST_PACKS: Final = 2
_MOST_PACKS: Final = 5


@dataclass(frozen=True, slots=True)
class ChunkConsumer:
    """What is to be done with the chunks. Any thread calls it, with chunks in any order."""

    name: str
    """For people: "verifying" or "importing"."""
    wanted: Callable[[int], bool]
    """Whether a chunk is needed: a block of which no chunk is wanted is not decoded."""
    covered: Callable[[int], bool]
    """Whether the digests of files say all that the chunk's own would (format §11)."""
    write: Callable[[int, Buffer], None] | None
    """Takes the plain bytes of a chunk before its block is yielded; None: they are not kept."""
    after: Callable[[Callable[[], None]], None]
    """Calls back when all blocks that were yielded are processed: their pack leaves memory."""
    base: Callable[[int], bytes]
    """Returns the bytes of a needed chunk, for differences (format §5.4)."""
    whole: Callable[[int], bytes | None]
    """Returns the bytes of a chunk that is a difference from a missing base; None for others."""
    failed: dict[int, AirgapError] = field(default_factory=dict)
    """Packs that are damaged or missing; complete when all chunks have been yielded."""
    restored: set[int] = field(default_factory=set)
    """Packs that parity or another volume gave in place of damaged or missing ones."""


@dataclass(frozen=True, slots=True)
class WantedPacks:
    """Packs that are to be read: their indexes in the manifest, and where they come from."""

    source: PackSource
    manifest: Manifest
    indexes: Collection[int]


def count_packs(jobs: int) -> int:
    """Return how many packs (up to 32 MiB each) are in memory: one is decoded, others digested."""
    return min(max(jobs // 2 + 1, _LEAST_PACKS), _MOST_PACKS)


def plain_chunks(
    wanted: WantedPacks, work: ChunkConsumer, jobs: int, progress: Progress
) -> Iterator[Pieces]:
    """Yield the verified chunks of every wanted block of the wanted packs, in order.

    A pack that is damaged or missing is taken from another volume, or made again from parity, where
    that is possible; else ``work.failed`` has the error.
    """
    packs = wanted.manifest.packs
    progress.begin(work.name, sum(packs[index].size for index in wanted.indexes))
    items = PackItems(wanted.manifest, progress)
    count = count_packs(jobs)
    try:
        with (
            run_workers(count - 1) as hashers,
            run_workers(jobs) as pool,
            _PackReader(wanted, count) as reader,
        ):
            unpacking = _Unpacking(wanted.manifest.chunks, work, pool, limit_ahead(jobs))
            bad: set[int] = set()
            authentic = _note_bad(reader.read(hashers), bad)
            if wanted.source.volumes:
                authentic = repair_packs(wanted.source.volumes, packs, authentic, progress)
            for index, data in authentic:
                items.name(index)
                if isinstance(data, AirgapError):
                    work.failed[index] = data
                    reader.release(b"")
                    continue
                if index in bad:
                    work.restored.add(index)
                yield from unpacking.blocks(packs[index], data)
                work.after(partial(reader.release, data))
                progress.advance(packs[index].size)
                del data  # if it is not of the reader's memory, it ends with its last chunk
    finally:
        progress.end()
    if work.restored:
        progress.note(_explain_restored(len(work.restored), wanted.source.volumes))


def _note_bad(
    read: Iterable[tuple[int, Buffer | AirgapError]], bad: set[int]
) -> Iterator[tuple[int, Buffer | AirgapError]]:
    """Pass packs on; add those that cannot be used to ``bad``."""
    for index, data in read:
        if isinstance(data, AirgapError):
            bad.add(index)
        yield index, data
        del data


def _explain_restored(count: int, volumes: Sequence[Volume]) -> str:
    """Say that the media are still damaged, and how they are repaired."""
    folder = shlex.quote(str(volumes[0].folder)) if len(volumes) == 1 else "VOLUME..."
    was, it_is = ("was", "it is") if count == 1 else ("were", "they are")
    return (
        f"{count_text(count, 'pack')} {was} restored for this run only: {it_is} still damaged or"
        f" missing on the medium. To repair it: `airgap repair {folder}`, or, if it is read-only,"
        f" `airgap repair {folder} -o DEST`."
    )


class _PackReader:
    """Reads packs one after the other, and compares their digests side by side.

    They are ahead of their decoding, and a bounded number is in memory.
    """

    def __init__(self, wanted: WantedPacks, count: int) -> None:
        """Take the packs that are wanted, and how many may be in memory."""
        self._source = wanted.source
        self._packs = wanted.manifest.packs
        self._indexes = wanted.indexes
        longest = max((self._packs[index].size for index in self._indexes), default=0)
        self._memory = BufferPool(longest + 1)  # one more, to see whether a file ends there
        self._count = count
        self._reading = threading.Lock()  # a disk that turns reads one after the other faster
        self._room: SimpleQueue[None] = SimpleQueue()  # a semaphore has a lock: see flow.workers
        self._make_room()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let threads end that wait for room."""
        self._make_room()

    def read(self, hashers: Workers) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield packs that are authentic, and what is wrong with the others.

        Local files are read by the threads that hash them. What may never come, a stream, is
        waited for here, where Ctrl-C ends it.
        """
        if self._source.volumes:
            return map_in_order(hashers, self._read_file, sorted(self._indexes), self._count)
        return map_in_order(hashers, self._check, self._read_stream(), self._count)

    def release(self, data: Buffer) -> None:
        """Make room for another pack; this one is not used any more."""
        self._memory.give_back(data)
        self._room.put(None)

    def _make_room(self) -> None:
        for _ in range(self._count):
            self._room.put(None)

    def _read_file(self, index: int) -> tuple[int, Buffer | AirgapError]:
        self._room.get()
        pack = self._packs[index]
        with self._reading:
            data = read_pack(self._source.volumes, pack, self._memory)
        return self._check((index, data))

    def _read_stream(self) -> Iterator[tuple[int, Buffer | AirgapError]]:
        packs = iter(self._source.read_packs(self._packs, self._indexes, self._memory))
        self._room.get()
        for pack in packs:
            yield pack
            del pack
            self._room.get()

    def _check(self, read: tuple[int, Buffer | AirgapError]) -> tuple[int, Buffer | AirgapError]:
        """Pass a pack on if its digest is the manifest's."""
        index, data = read
        if isinstance(data, AirgapError):
            return index, data
        error = _authenticate(self._source, self._packs[index], data)
        if error:
            self._memory.give_back(data)
        return index, error or data


def _authenticate(source: PackSource, pack: Pack, data: Buffer) -> CorruptError | None:
    """Compare a pack's digest with the manifest's before any of it is decoded."""
    digest = hashlib.sha256(data).digest()
    if digest == pack.digest:
        return None
    return CorruptError(
        f"{_locate_pack(source, pack)} is damaged (SHA-256 is {digest.hex()[:12]}…, expected"
        f" {pack.digest.hex()[:12]}…).",
        "It was changed or damaged on the way: copy this file from its source again.",
    )


def _locate_pack(source: PackSource, pack: Pack) -> str:
    """Return the path that a pack was read from; of a stream, the pack's name in it."""
    name = layout.pack_name(pack.digest)
    for volume in source.volumes:  # as ``read_pack`` chooses
        if volume.size_of(pack.digest) == pack.size:
            return str(volume.folder / name)
    return f"{name} in {source.location}"


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """What it takes to turn an authentic pack into chunks."""

    table: ChunkTable
    work: ChunkConsumer
    pool: Workers
    most: int

    def blocks(self, pack: Pack, data: Buffer) -> Iterator[Pieces]:
        """Decode the blocks of a pack; chunks that nothing else covers are compared."""
        unpack = partial(self._unpack, pack, memoryview(data))
        if all(map(self._is_nothing, pack.blocks)):  # to hand it to a thread would take longer
            made: Iterator[Pieces] = map(unpack, pack.blocks)
        else:
            made = map_in_order(self.pool, unpack, pack.blocks, self.most)
        return filter(None, made)

    def _unpack(self, pack: Pack, view: memoryview, block: Block) -> Pieces:
        numbers = range(block.first_chunk, block.first_chunk + block.chunk_count)
        if not any(map(self.work.wanted, numbers)):
            return []
        stored = view[block.offset : block.offset + block.stored_length]
        whole = None if block.base == NO_BASE else self.work.whole(block.first_chunk)
        made: Pieces
        if whole is not None:  # such a block has one chunk (format §4.3)
            made = [(block.first_chunk, whole)]
        else:
            base = b"" if block.base == NO_BASE else self.work.base(block.base)
            made = list(_decoded(self.table, block, stored, base))
        for chunk, piece in made:
            if not self.work.covered(chunk):
                _compare(self.table, pack, chunk, piece)
            if self.work.write:
                self.work.write(chunk, piece)
        return made

    def _is_nothing(self, block: Block) -> bool:
        """Tell whether there is nothing to decode, to compare or to write."""
        numbers = range(block.first_chunk, block.first_chunk + block.chunk_count)
        covered = map(self.work.covered, numbers)
        return self.work.write is None and block.codec == RAW and all(covered)


def _decoded(
    table: ChunkTable, block: Block, stored: Buffer, base: bytes
) -> Iterator[tuple[int, Buffer]]:
    """Decode a block, and take it apart."""
    last = block.first_chunk + block.chunk_count
    ends = list(accumulate(table.lengths[block.first_chunk : last]))
    plain = decode(block.codec, stored, ends[-1], base)
    for chunk, (start, end) in enumerate(pairwise([0, *ends]), block.first_chunk):
        yield chunk, plain[start:end]


def _compare(table: ChunkTable, pack: Pack, chunk: int, plain: Buffer) -> None:
    if hashlib.sha256(plain).digest() != table.digest(chunk):
        raise CorruptError(
            f"A chunk of pack {pack.digest.hex()[:12]}… does not have the digest that its own"
            " signed manifest gives it.",
            "The bundle was made wrongly: ask the sender to export it again.",
        )
