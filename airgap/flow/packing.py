"""From items to packs: read -> cut -> hash -> drop what is known -> encode -> pack (format §12).

The calling thread reads and cuts; a pool of threads hashes chunks and encodes blocks; one thread
digests whole files and one hashes packs and writes them. What is under way is bounded, so memory
does not grow with the size of a model.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final, Self

from airgap.chunking.cutters import cut
from airgap.codec import table
from airgap.flow.pipeline import ahead, in_order, workers
from airgap.flow.progress import Progress
from airgap.flow.reading import ChunkNames, FileRun, plain_entries
from airgap.flow.selection import Source
from airgap.format import limits
from airgap.format.inventory import Item, make_item
from airgap.format.manifest import Block, ChunkTable, Pack
from airgap.store.tree import read_stable
from airgap.transport.port import BundleWriter

__all__ = ["Packed", "pack_items"]

BLOCK_TARGET: Final = limits.MIB


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed, for the manifest; and how many of the packs had to be written."""

    items: tuple[Item, ...]
    chunks: ChunkTable
    packs: tuple[Pack, ...]
    packs_written: int


def pack_items(
    sources: Sequence[Source], writer: BundleWriter, jobs: int, progress: Progress
) -> Packed:
    """Read all items once and hand their packs to the writer.

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
    """
    with _Threads(jobs) as threads:
        return _Packing(writer, threads, jobs, progress).run(sources)


class _Threads:
    """The threads of one run: a pool for chunks and blocks, and one each for files and packs.

    A file's digest and a pack's are made in order, so each of them has one thread.
    """

    def __init__(self, jobs: int) -> None:
        self._stack = ExitStack()
        self._jobs = jobs

    def __enter__(self) -> Self:
        self.pool = self._stack.enter_context(workers(self._jobs))
        self.digester = self._stack.enter_context(workers(1))
        self.packer = self._stack.enter_context(workers(1))
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()


@dataclass(frozen=True, slots=True)
class _Cut:
    """A chunk of a file, or (with ``file`` None) the end of an item."""

    file: FileRun | None
    plain: bytes = b""
    width: int = 0
    digest: bytes = b""
    digested: Future[None] | None = None


@dataclass(frozen=True, slots=True)
class _Plain:
    """A block before encoding, or (with no chunks) the end of an item."""

    chunks: range
    data: bytes
    width: int = 0


@dataclass(frozen=True, slots=True)
class _Stored:
    """A block after encoding, or (with no chunks) the end of an item."""

    chunks: range
    codec: int
    data: bytes


class _Packing:
    """One run: the stages from cut to pack, and what they leave for the manifest."""

    def __init__(
        self, writer: BundleWriter, threads: _Threads, jobs: int, progress: Progress
    ) -> None:
        self._writer = writer
        self._threads = threads
        self._ahead = ahead(jobs)
        self._progress = progress
        self._names = ChunkNames()
        self._runs: list[list[FileRun]] = []
        self._packs: list[Future[Pack]] = []
        self._packs_written = 0

    def run(self, sources: Sequence[Source]) -> Packed:
        """Take all items through all stages."""
        pool = self._threads.pool
        cuts = in_order(pool, _hash, self._cut(sources), self._ahead)
        stored = in_order(pool, _encode, self._blocks(cuts), self._ahead)
        self._fill_packs(stored)
        packs = tuple(future.result() for future in self._packs)
        items = tuple(map(_item, sources, self._runs))
        return Packed(items, self._names.table(), packs, self._packs_written)

    def _cut(self, sources: Sequence[Source]) -> Iterator[_Cut]:
        """Read every file and cut it; an item ends with a cut without a file."""
        for source in sources:
            runs: list[FileRun] = []
            self._runs.append(runs)
            for file in source.tree.files:
                run = FileRun(file, hashlib.sha256())
                runs.append(run)
                for plain, width in cut(read_stable(file), file.size):
                    digested = self._threads.digester.submit(run.digest.update, plain)
                    yield _Cut(run, plain, width, digested=digested)
                    self._progress.advance(len(plain))
            yield _Cut(None)

    def _blocks(self, cuts: Iterator[_Cut]) -> Iterator[_Plain]:
        """Drop chunks that are known, and join small neighbours into blocks (format §4.3)."""
        parts: list[bytes] = []
        first = size = width = 0
        for one in cuts:
            full = size + len(one.plain) > BLOCK_TARGET or one.width != width
            if parts and (full or one.file is None):
                yield _Plain(range(first, first + len(parts)), b"".join(parts), width)
                parts, size = [], 0
            if one.file is None:
                yield _Plain(range(0), b"")
                continue
            if one.digested is not None:
                one.digested.result()  # keeps the digester from falling behind without bound
            index, new = self._names.add(one.digest, len(one.plain))
            one.file.chunks.append(index)
            if new:
                first = first if parts else index
                width = one.width
                parts.append(one.plain)
                size += len(one.plain)

    def _fill_packs(self, stored: Iterator[_Stored]) -> None:
        """Gather blocks into packs of 64 MiB; an item ends its pack (format §12)."""
        blocks: list[Block] = []
        parts: list[bytes] = []
        offset = 0
        for one in stored:
            if one.chunks:
                blocks.append(
                    Block(offset, len(one.data), one.codec, one.chunks.start, len(one.chunks))
                )
                parts.append(one.data)
                offset += len(one.data)
            if blocks and (offset >= limits.PACK_TARGET_BYTES or not one.chunks):
                self._hand_over(tuple(blocks), parts, offset)
                blocks, parts, offset = [], [], 0

    def _hand_over(self, blocks: tuple[Block, ...], parts: list[bytes], size: int) -> None:
        """Let the packer hash and write a pack; wait first if it still has one to write."""
        if self._packs:
            self._packs[-1].result()
        self._packs.append(self._threads.packer.submit(self._write, blocks, parts, size))

    def _write(self, blocks: tuple[Block, ...], parts: list[bytes], size: int) -> Pack:
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        pack = Pack(digest.digest(), size, blocks)
        if self._writer.put_pack(pack.digest, parts):
            self._packs_written += 1
        return pack


def _hash(one: _Cut) -> _Cut:
    if one.file is None:
        return one
    return replace(one, digest=hashlib.sha256(one.plain).digest())


def _encode(block: _Plain) -> _Stored:
    if not block.chunks:
        return _Stored(block.chunks, table.RAW, b"")
    return _Stored(block.chunks, *table.encode(block.data, block.width))


def _item(source: Source, runs: Sequence[FileRun]) -> Item:
    entries = [*(run.entry() for run in runs), *plain_entries(source)]
    return make_item(source.kind, source.name, source.version, entries)
