"""From items to packs: read -> cut -> hash -> drop what is known -> encode -> pack (format §12).

The calling thread reads and cuts; a pool of threads hashes chunks and encodes blocks; one lane
digests whole files, and one hashes packs and writes them. What is under way is bounded, so memory
does not grow with the size of a model.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from airgap.chunking.cutters import cut
from airgap.codec import table
from airgap.flow.pipeline import Lane, ahead, in_order, lane, workers
from airgap.flow.progress import Progress
from airgap.flow.reading import ChunkNames, FileRun, plain_entries
from airgap.flow.selection import Source
from airgap.format import limits
from airgap.format.inventory import Item, make_item
from airgap.format.manifest import Block, ChunkTable, Pack
from airgap.store.tree import open_stable
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
    names, filling = ChunkNames(), _Filling(writer)
    runs: list[list[FileRun]] = []
    with workers(jobs) as pool, lane() as digester, lane() as packer:
        cuts = _cut(sources, runs, digester, progress)
        named = in_order(pool, _hash, cuts, ahead(jobs))
        for stored in in_order(pool, _encode, _blocks(named, names), ahead(jobs)):
            packer.submit(filling.add if stored.chunks else filling.end_pack, stored)
    items = tuple(map(_item, sources, runs))
    return Packed(items, names.table(), tuple(filling.packs), filling.written)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A chunk of a file, or (with ``file`` None) the end of an item."""

    file: FileRun | None
    plain: bytes = b""
    width: int = 0
    digest: bytes = b""


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


def _cut(
    sources: Sequence[Source], runs: list[list[FileRun]], digester: Lane, progress: Progress
) -> Iterator[_Cut]:
    """Read and cut every file, and have it digested; an item ends with a cut without a file."""
    for source in sources:
        runs.append([])
        for file in source.tree.files:
            run = FileRun(file, hashlib.sha256())
            runs[-1].append(run)
            with open_stable(file) as stable:
                for piece in cut(stable):
                    digester.submit(run.digest.update, piece.plain)
                    yield _Cut(run, piece.plain, piece.width)
                    progress.advance(len(piece.plain))
        yield _Cut(None)


def _blocks(cuts: Iterator[_Cut], names: ChunkNames) -> Iterator[_Plain]:
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
        index, new = names.add(one.digest, len(one.plain))
        one.file.chunks.append(index)
        if new:
            first = first if parts else index
            width = one.width
            parts.append(one.plain)
            size += len(one.plain)


class _Filling:
    """Packs being filled with stored blocks, hashed as they come, and handed to the writer.

    A pack ends when it has 64 MiB, and with the item (format §12).
    """

    def __init__(self, writer: BundleWriter) -> None:
        self.packs: list[Pack] = []
        self.written = 0
        self._writer = writer
        self._begin_pack()

    def add(self, one: _Stored) -> None:
        """Append a block."""
        first, count = one.chunks.start, len(one.chunks)
        self._blocks.append(Block(self._size, len(one.data), one.codec, first, count))
        self._parts.append(one.data)
        self._digest.update(one.data)
        self._size += len(one.data)
        if self._size >= limits.PACK_TARGET_BYTES:
            self.end_pack(one)

    def end_pack(self, _: _Stored) -> None:
        """Write the pack, if anything is in it."""
        if not self._blocks:
            return
        pack = Pack(self._digest.digest(), self._size, tuple(self._blocks))
        self.written += self._writer.put_pack(pack.digest, self._parts)
        self.packs.append(pack)
        self._begin_pack()

    def _begin_pack(self) -> None:
        self._blocks: list[Block] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._digest = hashlib.sha256()


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
