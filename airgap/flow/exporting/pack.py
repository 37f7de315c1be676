"""From items to packs: read -> cut -> hash -> drop what is known -> encode -> pack (format §12).

The calling thread reads and cuts, large files in turn; a pool of threads hashes chunks and encodes
blocks; others digest files and packs, each from its beginning to its end; one writes packs. What is
under way is bounded, so memory does not grow with the size of a model.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, groupby, islice
from typing import Final, NamedTuple, NoReturn

from airgap.carrier.port import BundleWriter
from airgap.chunking.cutters import cut
from airgap.chunking.pieces import Piece
from airgap.chunking.sizes import SMALLEST
from airgap.chunking.zeros import digest_chunk
from airgap.codec.table import DIFFERENCE, Preset, encode, encode_difference
from airgap.errors import StorageError
from airgap.flow.chunks.tensor_parts import Parts
from airgap.flow.digesters import Digester, Digesters, run_digesters
from airgap.flow.exporting.bases import NO_BASES, Bases
from airgap.flow.exporting.packing import (
    PackBuilder,
    PackWriting,
    SettledBlock,
    Stored,
    StoredBlock,
)
from airgap.flow.exporting.read import ChunkNames, FileRun, plain_entries
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.turns import SIDE_BY_SIDE, is_large, is_read_again, take_turns
from airgap.flow.exporting.unread import NOTHING_UNREAD, CachedFile, Unread, keep_pack
from airgap.flow.pipeline import map_in_order, run_workers, serial_executor
from airgap.flow.progress import Progress, Silent
from airgap.format import limits
from airgap.format.inventory import Item, make_item
from airgap.format.manifest import ChunkTable, Pack
from airgap.state.digest_cache import NO_CACHE, DigestCache
from airgap.store.source_tree import StableFile, is_old, read_whole

__all__ = ["PackOptions", "PackedItem", "encode_block", "measure_packs", "pack_items"]

BLOCK_TARGET: Final = limits.MIB
_SMALL: Final = 32 * limits.KIB
"""Up to here, hashing takes less time than handing it to another thread."""
_BATCH: Final = 32
"""Small files that are handed on together: up to a block."""
_AHEAD_PER_JOB: Final = 3
_MOST_AHEAD: Final = 24
"""Chunks, and blocks, that may be under way at a time; each has up to 4 MiB, mostly one."""
_MOST_PACKS: Final = 64
_MOST_HELD_BYTES: Final = (SIDE_BY_SIDE + 1) * limits.PACK_TARGET_BYTES
"""Stored bytes in packs that are filled, or wait to be written."""
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
    unread: Unread = NOTHING_UNREAD
    cache: DigestCache = NO_CACHE
    """Keeps what is read and packed."""


def pack_items(
    sources: Sequence[Source], writer: BundleWriter, options: PackOptions, progress: Progress
) -> PackedItem:
    """Read all items once, but for what need not be read, and hand their packs to the writer.

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
    """
    writing = PackWriting(writer)
    packed = _pack_items(sources, writing, writer.abort, options, progress)
    while packed is None:  # other packs than were foreseen: now nothing is
        progress.begin("exporting", sum(source.tree.size for source in sources))
        writing.forget_packs()
        options = replace(options, unread=NOTHING_UNREAD)
        packed = _pack_items(sources, writing, writer.abort, options, progress)
    return packed


def _pack_items(
    sources: Sequence[Source],
    writing: PackWriting,
    abort: Callable[[], None],
    options: PackOptions,
    progress: Progress,
) -> PackedItem | None:
    """Pack all items; None if a pack is not as it was foreseen. Raises as ``pack_items``."""
    names = ChunkNames(options.bases.have)
    runs: list[list[FileRun]] = []
    most = _limit_ahead(options.jobs)
    with (
        run_workers(options.jobs) as pool,
        run_digesters(min(options.jobs, SIDE_BY_SIDE)) as file_digesters,
        run_digesters(min(options.jobs, SIDE_BY_SIDE)) as pack_digesters,
        # Left first: it may wait for a pack's digest.
        serial_executor(abort, lag=_MOST_PACKS) as disk,
    ):
        builder = PackBuilder(
            names, pack_digesters, lambda pack: disk.submit(writing.write, pack), options.unread
        )
        cuts = _Cutting(runs, file_digesters, options, progress).cut_all(sources)
        hashed = map_in_order(pool, partial(_hash, options, names), cuts, most, quick=_is_hashed)
        blocks = _join_chunks(hashed, names)
        for block in map_in_order(pool, partial(_encode, options), blocks, most, quick=_is_encoded):
            _add(builder, block)
            while builder.added - writing.done > _MOST_HELD_BYTES and disk.wait():
                pass
            if not builder.is_as_foreseen:
                break
    if not builder.is_as_foreseen:
        return None
    packed = _describe(sources, runs, builder, names, writing)
    _keep(runs, writing, names, packed, options)
    return packed


def measure_packs(sources: Sequence[Source], options: PackOptions) -> PackedItem | None:
    """Make the packs of all items in memory, one after the other, and keep none.

    Sizes are those of an export; the digests of files that have several chunks are not computed,
    so that holes of files cost nothing. None: a pack is not as it was foreseen.

    Raises:
        StorageError: a file changed since it was scanned, or cannot be read.
    """
    names = ChunkNames(options.bases.have)
    runs: list[list[FileRun]] = []
    writing = PackWriting(None)
    builder = PackBuilder(names, Digesters([lambda work: work()]), writing.write, options.unread)
    nobody = Digesters([lambda _work: None])
    cuts = _Cutting(runs, nobody, options, Silent()).cut_all(sources)
    for block in _join_chunks(map(partial(_hash, options, names), cuts), names):
        _add(builder, _encode(options, block))
    if not builder.is_as_foreseen:
        return None
    return _describe(sources, runs, builder, names, writing)


def _limit_ahead(jobs: int) -> int:
    """Return how many chunks, or blocks, may be under way: enough to keep the threads busy."""
    return min(_AHEAD_PER_JOB * jobs, _MOST_AHEAD)


def _add(builder: PackBuilder, block: "_Block") -> None:
    if not builder.is_as_foreseen:
        return
    if block.settled:
        builder.add_settled(SettledBlock(block.row, block.chunks, block.settled, block.width))
    elif block.stored is None:
        builder.end(block.row)
    else:
        builder.add(StoredBlock(block.row, block.chunks, block.stored, block.width))


def _describe(
    sources: Sequence[Source],
    runs: Sequence[Sequence[FileRun]],
    builder: PackBuilder,
    names: ChunkNames,
    writing: PackWriting,
) -> PackedItem:
    packs = tuple(_number_bases(pack, builder.bases, names) for pack in writing.packs)
    items = tuple(
        _make_item(source, below, names) for source, below in zip(sources, runs, strict=True)
    )
    written = writing.packs_written, writing.bytes_written
    return PackedItem(items, names.table(), packs, *written)


def _keep(
    runs: Sequence[Sequence[FileRun]],
    writing: PackWriting,
    names: ChunkNames,
    packed: PackedItem,
    options: PackOptions,
) -> None:
    """Keep what was read, for the next export."""
    if not options.cache.is_usable:
        return
    for below in runs:
        for run in below:
            run.keep(options.cache, names, packed.chunks)
    if not options.bases.bundles:  # differences depend on more than chunks
        for pack, widths in zip(packed.packs, writing.widths, strict=True):
            if widths:
                keep_pack(options.cache, options.preset, pack, widths, packed.chunks)


class _ChunkJob(NamedTuple):
    """A chunk of a file; with ``file`` None, the end of a row."""

    row: int
    file: FileRun | None
    size: int = 0
    plain: bytes = b""
    width: int = 0
    base: bytes | None = None
    """The digest of a chunk that this one may be a difference of."""
    digest: bytes = b""
    stored: Stored | None = None
    """Takes the place of ``plain``, for a chunk that is a block of its own."""
    expected: bytes = b""
    """The digest that it had when the file was read before; empty if it was not."""

    @property
    def settled(self) -> tuple[bytes, ...]:
        """Its digest, if it need not be read."""
        return () if self.plain or self.stored else (self.digest,)

    @property
    def is_block(self) -> bool:
        """Tell whether no neighbour could be stored together with it (format §12)."""
        return self.size >= BLOCK_TARGET or self.base is not None


class _SmallFiles(NamedTuple):
    """Small files of a row: each is one chunk, which has been hashed, and has no base."""

    row: int
    files: list[FileRun]
    plain: list[bytes]
    digests: list[bytes]


class _Block(NamedTuple):
    """A block, plain or stored; or (with no chunks) the end of a row."""

    row: int
    chunks: tuple[int, ...] = ()
    plain: bytes = b""
    width: int = 0
    stored: Stored | None = None
    settled: tuple[bytes, ...] = ()
    """The digests of those of its chunks that were not read."""


_Job = _ChunkJob | _SmallFiles


class _Cutting:
    """Reads and cuts files, and has them digested."""

    def __init__(
        self,
        runs: list[list[FileRun]],
        digesters: Digesters,
        options: PackOptions,
        progress: Progress,
    ) -> None:
        """Take a list, for the files of each item."""
        self._runs = runs
        self._digesters = digesters
        self._bases = options.bases
        self._unread = options.unread
        self._cache = options.cache
        self._progress = progress
        self._rows = count()

    def cut_all(self, sources: Sequence[Source]) -> Iterator[_Job]:
        """Yield the chunks of all files in the order of format §12, and the end of each row."""
        for source in sources:
            files = [FileRun(file) for file in source.tree.files]
            self._runs.append(files)
            self._progress.name_item(str(source))
            small = [run for run in files if not is_large(run.source)]
            yield from self._cut_row(source, small)
            yield from take_turns(
                self._cut_row(source, [run]) for run in files if is_large(run.source)
            )

    def _cut_row(self, source: Source, files: Sequence[FileRun]) -> Iterator[_Job]:
        """Cut files whose chunks go into the same packs."""
        row = next(self._rows)
        is_kept = not is_read_again([run.source for run in files])
        for are_small, group in groupby(files, self._is_read_at_once):
            if are_small:
                yield from self._cut_small(row, group, is_kept=is_kept)
            else:
                yield from self._cut_larger(source, row, group, is_kept=is_kept)
        yield _ChunkJob(row, None)

    def _is_read_at_once(self, run: FileRun) -> bool:
        return run.source.size <= _SMALL and self._unread.find_file(run.source) is None

    def _cut_larger(
        self, source: Source, row: int, files: Iterable[FileRun], *, is_kept: bool
    ) -> Iterator[_ChunkJob]:
        """Cut files of several chunks, and those that need not be read."""
        for run in files:
            cached = self._unread.find_file(run.source)
            if cached:
                yield from self._cut_cached(row, run, cached)
            elif run.source.size <= SMALLEST:
                yield from self._cut_single(row, run)
            else:
                digester = self._digesters.begin()
                yield from self._cut_file(source, row, run, digester)
                digester.end()
            if not is_kept:
                run.since = 0

    def _cut_small(
        self, row: int, files: Iterable[FileRun], *, is_kept: bool
    ) -> Iterator[_SmallFiles]:
        """Read and hash files that are one chunk, or empty: a few dozen for each step that follows.

        Such a file takes less time than to hand it to another thread.
        """
        is_kept = is_kept and self._cache.is_usable
        while batch := list(islice(files, _BATCH)):
            now = self._cache.clock()
            plain = [read_whole(run.source) for run in batch]
            if is_kept:
                for run in batch:
                    run.since = now if is_old(run.source, now) else 0
            filled = [run for run in batch if run.source.size]
            plain = list(filter(None, plain))
            yield _SmallFiles(row, filled, plain, list(map(digest_chunk, plain)))
            self._progress.advance(sum(map(len, plain)))

    def _cut_single(self, row: int, run: FileRun) -> Iterator[_ChunkJob]:
        """Read a file that is one chunk."""
        now = self._cache.clock()
        plain = read_whole(run.source)
        run.since = now if self._cache.is_usable and is_old(run.source, now) else 0
        yield _make_job(row, run, Piece(plain), {})
        self._progress.advance(run.source.size)

    def _cut_file(
        self, source: Source, row: int, run: FileRun, digester: Digester
    ) -> Iterator[_ChunkJob]:
        """Read a file, cut it, and have it digested."""
        file = run.source
        resembles = self._bases.find_similar(source, file.path)
        now = self._cache.clock()
        with StableFile(file) as stable:
            run.since = now if self._cache.is_usable and stable.settle(now) else 0
            for piece in cut(stable):
                size = len(piece.plain)
                if size < file.size:
                    digester.submit(partial(run.feed, piece.plain))
                yield _make_job(row, run, piece, resembles)
                self._progress.advance(size)

    def _cut_cached(self, row: int, run: FileRun, cached: CachedFile) -> Iterator[_ChunkJob]:
        """Cut a file where it was cut before, and read those chunks that are not settled."""
        run.sha256 = cached.digest
        behind = 0
        with ExitStack() as opened:
            stable: StableFile | None = None
            for digest, size, width in cached.chunks:
                if digest in self._unread.settled:
                    behind += size
                    yield _ChunkJob(row, run, size, width=width, digest=digest)
                else:
                    stable = stable or opened.enter_context(StableFile(run.source))
                    stable.skip(behind)
                    plain, behind = stable.read(size), 0
                    yield _ChunkJob(row, run, size, plain, width, expected=digest)
                self._progress.advance(size)


def _make_job(row: int, run: FileRun, piece: Piece, resembles: Parts) -> _ChunkJob:
    """Make the job of a chunk; hash it, if that takes less time than to hand it over."""
    plain, width, part, offset = piece
    size = len(plain)
    run.widths.append(width)
    base = resembles.get((part, offset, size))
    digest = digest_chunk(plain) if size <= _SMALL and base is None else b""
    return _ChunkJob(row, run, size, plain, width, base, digest)


class _Gathering:
    """The small chunks of a row that will be one block."""

    def __init__(self, row: int) -> None:
        self.width = self.size = 0
        self._row = row
        self._chunks: list[int] = []
        self._parts: list[bytes] = []
        self._settled: tuple[bytes, ...] = ()

    def fits(self, size: int, width: int) -> bool:
        """Tell whether a chunk can join (format §12)."""
        return self.size + size <= BLOCK_TARGET and self.width == width

    def add(self, number: int, size: int, width: int, plain: bytes) -> None:
        """Add a chunk."""
        self.width = width
        self.size += size
        self._chunks.append(number)
        self._parts.append(plain)

    def add_settled(self, digests: tuple[bytes, ...]) -> None:
        """Note that the chunk added last need not be read."""
        self._settled += digests

    def take(self) -> Iterator[_Block]:
        """Yield the block, if there are chunks, and begin the next one."""
        if self._parts:
            plain = b"".join(self._parts)
            yield _Block(self._row, tuple(self._chunks), plain, self.width, None, self._settled)
            self._chunks, self._parts, self._settled, self.size = [], [], (), 0


def _join_chunks(jobs: Iterator[_Job], names: ChunkNames) -> Iterator[_Block]:
    """Drop chunks that are known, and join small neighbours of a row (format §4.3)."""
    rows: dict[int, _Gathering] = {}
    for job in jobs:
        gathering = rows.get(job.row) or rows.setdefault(job.row, _Gathering(job.row))
        if isinstance(job, _SmallFiles):
            yield from _join_small(job, names, gathering)
            continue
        if job.file is None:
            yield from gathering.take()
            yield _Block(job.row)
            del rows[job.row]
            continue
        number, is_new = names.add_to(job.file, job.digest, job.size)
        if not is_new:
            continue
        if job.is_block:
            yield from gathering.take()
            yield _Block(job.row, (number,), job.plain, job.width, job.stored, job.settled)
        else:
            if not gathering.fits(job.size, job.width):
                yield from gathering.take()
            gathering.add(number, job.size, job.width, job.plain)
            gathering.add_settled(job.settled)


def _join_small(job: _SmallFiles, names: ChunkNames, gathering: _Gathering) -> Iterator[_Block]:
    for run, plain, digest in zip(job.files, job.plain, job.digests, strict=True):
        size = len(plain)
        run.widths.append(0)
        number, is_new = names.add_to(run, digest, size)
        if is_new:
            if not gathering.fits(size, 0):
                yield from gathering.take()
            gathering.add(number, size, 0, plain)


def _is_hashed(job: _Job) -> bool:
    return isinstance(job, _SmallFiles) or job.file is None or bool(job.digest)


def _is_encoded(block: _Block) -> bool:
    return not block.chunks or block.stored is not None or bool(block.settled)


def _hash(options: PackOptions, names: ChunkNames, job: _Job) -> _Job:
    """Hash a chunk; encode it at once, unless it waits for neighbours or is known already."""
    if isinstance(job, _SmallFiles) or _is_hashed(job):
        return job
    digest = digest_chunk(job.plain)
    if job.file and job.expected and digest != job.expected:
        _refuse_silent_change(job.file)
    if not job.is_block or names.knows(digest):
        return job._replace(digest=digest)
    stored = encode_block(options, job.plain, job.width, job.base)
    return job._replace(digest=digest, stored=stored, plain=b"")


def _refuse_silent_change(run: FileRun) -> NoReturn:
    raise StorageError(
        f"{run.source.location} was changed without a trace: its size and times are those that it"
        " had when it was read before.",
        "Find out what wrote to it, and run the same command with --reread.",
    )


def _encode(options: PackOptions, block: _Block) -> _Block:
    if _is_encoded(block):
        return block
    stored = encode_block(options, block.plain, block.width, None)
    return block._replace(plain=b"", stored=stored)


def encode_block(
    options: PackOptions, plain: bytes, width: int, base_digest: bytes | None
) -> Stored:
    """Encode a block, as a difference of a base if there is one and that is smaller."""
    base = options.bases.read(base_digest) if base_digest else None
    if base is not None and _saves_space(plain, width, base):
        data = encode_difference(plain, base, width)
        if len(data) < len(plain):
            return Stored(DIFFERENCE, data, base_digest)
    return Stored(*encode(plain, width, options.preset))


def _saves_space(plain: bytes, width: int, base: bytes) -> bool:
    """Tell from a sample whether a block is stored in less space as a difference."""
    middle = len(plain) // 2 & ~(_SAMPLE - 1)
    new, old = plain[middle : middle + _SAMPLE], base[middle : middle + _SAMPLE]
    return len(encode_difference(new, old, width)) < _GAIN * len(encode(new, width)[1])


def _number_bases(pack: Pack, bases: Mapping[int, tuple[bytes, int]], names: ChunkNames) -> Pack:
    """Number the bases of a pack's blocks, now that all carried chunks are known."""
    if not bases:
        return pack
    blocks = [
        replace(block, base=names.index(names.need(*bases[block.first_chunk])))
        if block.first_chunk in bases
        else block
        for block in pack.blocks
    ]
    return replace(pack, blocks=tuple(blocks))


def _make_item(source: Source, runs: Sequence[FileRun], names: ChunkNames) -> Item:
    entries = [*(run.entry(names) for run in runs), *plain_entries(source)]
    return make_item(source.kind, source.name, source.version, entries)
