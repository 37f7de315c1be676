"""From items to packs: read -> cut -> hash -> drop what is known -> encode -> pack (format §12).

The calling thread reads and cuts; a pool of threads hashes chunks and encodes blocks; one thread
digests whole files, one hashes packs, and one writes them. What is under way is bounded, so memory
does not grow with the size of a model.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from airgap.carrier.port import BundleWriter
from airgap.chunking.cutters import cut
from airgap.chunking.zeros import digest_chunk
from airgap.codec.buffer import Buffer
from airgap.codec.table import DIFFERENCE, RAW, Preset, encode, encode_difference
from airgap.flow.exporting.bases import NO_BASES, Bases
from airgap.flow.exporting.read import ChunkNames, FileRun, plain_entries
from airgap.flow.exporting.select import Source
from airgap.flow.pipeline import (
    limit_ahead,
    map_in_order,
    run_workers,
    serial_executor,
)
from airgap.flow.progress import Progress, Silent
from airgap.format import limits
from airgap.format.inventory import Item, make_item
from airgap.format.manifest import Block, ChunkTable, Pack
from airgap.store.source_tree import StableFile

__all__ = ["PackOptions", "PackedItem", "encode_block", "measure_packs", "pack_items"]

BLOCK_TARGET: Final = limits.MIB
_SMALL: Final = 32 * limits.KIB
"""Up to here, hashing takes less time than handing it to another thread."""
_SAMPLE: Final = 64 * limits.KIB
_GAIN: Final = 0.95
"""What share of the space a difference may take of a sample, for the whole to be tried."""


@dataclass(frozen=True, slots=True)
class PackedItem:
    """What was packed, for the manifest; and how much of the packs had to be written."""

    items: tuple[Item, ...]
    chunks: ChunkTable
    packs: tuple[Pack, ...]
    packs_written: int
    bytes_written: int


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How items are packed."""

    jobs: int
    preset: Preset = "default"
    bases: Bases = NO_BASES


def pack_items(
    sources: Sequence[Source], writer: BundleWriter, options: PackOptions, progress: Progress
) -> PackedItem:
    """Read all items once and hand their packs to the writer.

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
    """
    names = ChunkNames(options.bases.have)
    runs: list[list[FileRun]] = []
    most = limit_ahead(options.jobs)
    with (
        run_workers(options.jobs) as pool,
        serial_executor() as digester,
        serial_executor(writer.abort, lag=1) as disk,
        serial_executor(writer.abort) as packer,  # left first: it may wait for the disk's thread
    ):
        writing = _Writing(writer)
        builder = _PackBuilder(lambda digest, parts: disk.submit(writing.write, digest, parts))

        def digest(run: FileRun, plain: bytes) -> None:
            digester.submit(run.feed, plain)

        cuts = _cut(sources, runs, digest, options, progress)
        hashed = map_in_order(pool, partial(_hash, options, names), cuts, most, quick=_is_small)
        blocks = _join_chunks(hashed, names)
        for block in map_in_order(pool, partial(_encode, options), blocks, most, quick=_is_encoded):
            packer.submit(builder.add if block.chunks else builder.end_pack, block)
    return _describe(sources, runs, builder, names, writing)


def measure_packs(sources: Sequence[Source], options: PackOptions) -> PackedItem:
    """Make the packs of all items in memory, one after the other, and keep none.

    Sizes are those of an export; the digests of files that have several chunks are not computed,
    so that holes of files cost nothing.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    names = ChunkNames(options.bases.have)
    runs: list[list[FileRun]] = []
    builder = _PackBuilder(lambda _digest, _parts: None)
    cuts = _cut(sources, runs, lambda _run, _plain: None, options, Silent())
    for block in _join_chunks(map(partial(_hash, options, names), cuts), names):
        (builder.add if block.chunks else builder.end_pack)(_encode(options, block))
    return _describe(sources, runs, builder, names, None)


def _describe(
    sources: Sequence[Source],
    runs: Sequence[Sequence[FileRun]],
    builder: "_PackBuilder",
    names: ChunkNames,
    writing: "_Writing | None",
) -> PackedItem:
    packs = tuple(_number_bases(pack, builder.bases, names) for pack in builder.packs)
    items = tuple(
        _make_item(source, below, names) for source, below in zip(sources, runs, strict=True)
    )
    written = (writing.packs, writing.size) if writing else (0, 0)
    return PackedItem(items, names.table(), packs, *written)


@dataclass(frozen=True, slots=True)
class _Stored:
    """How a block is stored."""

    codec: int
    data: bytes
    base: bytes | None = None
    """The digest of the chunk that it is a difference of."""


@dataclass(frozen=True, slots=True)
class _ChunkJob:
    """A chunk of a file; with ``file`` None, the end of an item."""

    file: FileRun | None
    size: int = 0
    plain: bytes = b""
    width: int = 0
    base: bytes | None = None
    """The digest of a chunk that this one may be a difference of."""
    digest: bytes = b""
    stored: _Stored | None = None
    """Takes the place of ``plain``, for a chunk that is a block of its own."""

    @property
    def is_block(self) -> bool:
        """Tell whether no neighbour could be stored together with it (format §12)."""
        return self.size >= BLOCK_TARGET or self.base is not None


@dataclass(frozen=True, slots=True)
class _Block:
    """A block, plain or stored; or (with no chunks) the end of an item."""

    chunks: range
    plain: bytes = b""
    width: int = 0
    stored: _Stored | None = None


def _cut(
    sources: Sequence[Source],
    runs: list[list[FileRun]],
    digest: Callable[[FileRun, bytes], None],
    options: PackOptions,
    progress: Progress,
) -> Iterator[_ChunkJob]:
    """Read and cut every file, and have it digested; an item ends with a cut without a file."""
    for source in sources:
        runs.append([])
        progress.name_item(str(source))
        for file in source.tree.files:
            run = FileRun(file)
            runs[-1].append(run)
            resembles = options.bases.find_similar(source, file.path)
            with StableFile(file) as stable:
                for piece in cut(stable):
                    size = len(piece.plain)
                    if size < file.size:
                        digest(run, piece.plain)
                    base = resembles.get((piece.part, piece.offset, size))
                    yield _ChunkJob(run, size, piece.plain, piece.width, base)
                    progress.advance(size)
        yield _ChunkJob(None)


def _join_chunks(jobs: Iterator[_ChunkJob], names: ChunkNames) -> Iterator[_Block]:
    """Drop chunks that are known, and join small neighbours into blocks (format §4.3)."""
    parts: list[bytes] = []
    first = size = width = 0
    for job in jobs:
        index, new = _number_chunk(job, names)
        ends = job.file is None or (new and job.is_block)
        if parts and (ends or (new and (size + job.size > BLOCK_TARGET or width != job.width))):
            yield _Block(range(first, first + len(parts)), b"".join(parts), width)
            parts, size = [], 0
        if job.file is None:
            yield _Block(range(0))
        elif ends:
            yield _Block(range(index, index + 1), job.plain, job.width, job.stored)
        elif new:
            first = first if parts else index
            width = job.width
            parts.append(job.plain)
            size += job.size


def _number_chunk(job: _ChunkJob, names: ChunkNames) -> tuple[int, bool]:
    """Number a chunk, note it for its file, and tell whether it is to be carried and new."""
    if job.file is None:
        return 0, False
    return names.add_to(job.file, job.digest, job.size)


class _Writing:
    """Hands packs to a writer, until it refuses one; measures those that had to be written."""

    def __init__(self, writer: BundleWriter) -> None:
        self.packs = 0
        self.size = 0
        self._writer = writer
        self._refused = False

    def write(self, digest: bytes, parts: list[Buffer]) -> None:
        if not self._refused:
            self._refused = True  # unless this one is written
            size = sum(map(len, parts))
            is_new = self._writer.put_pack(digest, parts)
            self.packs += is_new
            self.size += size if is_new else 0
            self._refused = False


class _PackBuilder:
    """Packs being filled with stored blocks, hashed as they come, and handed to the writer.

    A pack ends when it has 32 MiB, and with the item (format §12).
    """

    def __init__(self, put: Callable[[bytes, list[Buffer]], None]) -> None:
        self.packs: list[Pack] = []
        self.bases: dict[int, bytes] = {}
        """The digests of bases, by the chunk that is stored as a difference."""
        self._put = put
        self._begin_pack()

    def add(self, block: _Block) -> None:
        """Append a block."""
        stored = block.stored or _Stored(RAW, block.plain)
        first, count = block.chunks.start, len(block.chunks)
        if stored.base:
            self.bases[first] = stored.base
        self._blocks.append(Block(self._size, len(stored.data), stored.codec, first, count))
        self._parts.append(stored.data)
        self._digest.update(stored.data)
        self._size += len(stored.data)
        if self._size >= limits.PACK_TARGET_BYTES:
            self.end_pack(block)

    def end_pack(self, _: _Block) -> None:
        """Have the pack written, if anything is in it, while the next one is filled."""
        if not self._blocks:
            return
        pack = Pack(self._digest.digest(), self._size, tuple(self._blocks))
        self._put(pack.digest, self._parts)
        self.packs.append(pack)
        self._begin_pack()

    def _begin_pack(self) -> None:
        self._blocks: list[Block] = []
        self._parts: list[Buffer] = []
        self._size = 0
        self._digest = hashlib.sha256()


def _is_small(job: _ChunkJob) -> bool:
    return job.size <= _SMALL


def _is_encoded(block: _Block) -> bool:
    return not block.chunks or block.stored is not None


def _hash(options: PackOptions, names: ChunkNames, job: _ChunkJob) -> _ChunkJob:
    """Hash a chunk; encode it at once, unless it waits for neighbours or is known already."""
    if job.file is None:
        return job
    digest = digest_chunk(job.plain)
    plain, stored = job.plain, None
    if job.is_block and not names.knows(digest):
        plain, stored = b"", encode_block(options, job.plain, job.width, job.base)
    return _ChunkJob(job.file, job.size, plain, job.width, job.base, digest, stored)


def _encode(options: PackOptions, block: _Block) -> _Block:
    if _is_encoded(block):
        return block
    return replace(block, plain=b"", stored=encode_block(options, block.plain, block.width, None))


def encode_block(
    options: PackOptions, plain: bytes, width: int, base_digest: bytes | None
) -> _Stored:
    """Encode a block, as a difference of a base if there is one and that is smaller."""
    base = options.bases.read(base_digest) if base_digest else None
    if base is not None and _saves_space(plain, width, base):
        data = encode_difference(plain, base, width)
        if len(data) < len(plain):
            return _Stored(DIFFERENCE, data, base_digest)
    return _Stored(*encode(plain, width, options.preset))


def _saves_space(plain: bytes, width: int, base: bytes) -> bool:
    """Tell from a sample whether a block is stored in less space as a difference."""
    middle = len(plain) // 2 & ~(_SAMPLE - 1)
    new, old = plain[middle : middle + _SAMPLE], base[middle : middle + _SAMPLE]
    return len(encode_difference(new, old, width)) < _GAIN * len(encode(new, width)[1])


def _number_bases(pack: Pack, bases: Mapping[int, bytes], names: ChunkNames) -> Pack:
    """Number the bases of a pack's blocks, now that all carried chunks are known."""
    if not bases:
        return pack
    return replace(pack, blocks=tuple(_number_base(block, bases, names) for block in pack.blocks))


def _number_base(block: Block, bases: Mapping[int, bytes], names: ChunkNames) -> Block:
    digest = bases.get(block.first_chunk)
    if digest is None:
        return block
    length = names.length(block.first_chunk)
    return replace(block, base=names.index(names.need(digest, length)))


def _make_item(source: Source, runs: Sequence[FileRun], names: ChunkNames) -> Item:
    entries = [*(run.entry(names) for run in runs), *plain_entries(source)]
    return make_item(source.kind, source.name, source.version, entries)
