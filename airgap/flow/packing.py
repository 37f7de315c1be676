"""From items to packs: read -> cut -> hash -> drop what is known -> encode -> pack (format §12).

The calling thread reads and cuts; a pool of threads hashes chunks and encodes blocks; one lane
digests whole files, and one hashes packs and writes them. What is under way is bounded, so memory
does not grow with the size of a model.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from airgap.chunking.cutters import cut
from airgap.codec.table import DIFFERENCE, RAW, Preset, encode, encode_difference
from airgap.flow.bases import NO_BASES, Bases
from airgap.flow.pipeline import Lane, ahead, in_order, lane, workers
from airgap.flow.progress import Progress
from airgap.flow.reading import ChunkNames, FileRun, plain_entries
from airgap.flow.selection import Source
from airgap.format import limits
from airgap.format.inventory import Item, make_item
from airgap.format.manifest import Block, ChunkTable, Pack
from airgap.store.tree import open_stable
from airgap.transport.port import BundleWriter

__all__ = ["Manner", "Packed", "pack_items"]

BLOCK_TARGET: Final = limits.MIB
_SMALL: Final = 32 * limits.KIB
"""Up to here, hashing takes less time than handing it to another thread."""
_SAMPLE: Final = 64 * limits.KIB
_GAIN: Final = 0.95
"""What share of the space a difference may take of a sample, for the whole to be tried."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed, for the manifest; and how many of the packs had to be written."""

    items: tuple[Item, ...]
    chunks: ChunkTable
    packs: tuple[Pack, ...]
    packs_written: int


@dataclass(frozen=True, slots=True)
class Manner:
    """How items are packed."""

    jobs: int
    preset: Preset = "default"
    bases: Bases = NO_BASES


def pack_items(
    sources: Sequence[Source], writer: BundleWriter, manner: Manner, progress: Progress
) -> Packed:
    """Read all items once and hand their packs to the writer.

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
    """
    names, filling = ChunkNames(manner.bases.held), _Filling(writer)
    runs: list[list[FileRun]] = []
    most = ahead(manner.jobs)
    encoded = partial(_encode, manner)
    with workers(manner.jobs) as pool, lane() as digester, lane(writer.abort) as packer:
        cuts = _cut(sources, runs, digester, manner, progress)
        hashed = in_order(pool, _hash, cuts, most, quick=_is_small)
        for stored in in_order(pool, encoded, _blocks(hashed, names), most):
            packer.submit(filling.add if stored.chunks else filling.end_pack, stored)
    packs = tuple(_with_bases(pack, filling.bases, names) for pack in filling.packs)
    items = tuple(_item(source, below, names) for source, below in zip(sources, runs, strict=True))
    return Packed(items, names.table(), packs, filling.written)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A chunk of a file, or (with ``file`` None) the end of an item."""

    file: FileRun | None
    plain: bytes = b""
    width: int = 0
    base: bytes | None = None
    """The digest of a chunk that this one may be a difference of."""
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class _Plain:
    """A block before encoding, or (with no chunks) the end of an item."""

    chunks: range
    data: bytes
    width: int = 0
    base: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A block after encoding, or (with no chunks) the end of an item."""

    chunks: range
    codec: int
    data: bytes
    base: bytes | None = None


def _cut(
    sources: Sequence[Source],
    runs: list[list[FileRun]],
    digester: Lane,
    manner: Manner,
    progress: Progress,
) -> Iterator[_Cut]:
    """Read and cut every file, and have it digested; an item ends with a cut without a file."""
    for source in sources:
        runs.append([])
        for file in source.tree.files:
            run = FileRun(file, hashlib.sha256())
            runs[-1].append(run)
            resembles = manner.bases.resembling(source, file.path)
            with open_stable(file) as stable:
                for piece in cut(stable):
                    size = len(piece.plain)
                    if file.size <= _SMALL:
                        run.digest.update(piece.plain)
                    else:
                        digester.submit(run.digest.update, piece.plain)
                    base = resembles.get((piece.part, piece.offset, size))
                    yield _Cut(run, piece.plain, piece.width, base)
                    progress.advance(size)
        yield _Cut(None)


def _blocks(cuts: Iterator[_Cut], names: ChunkNames) -> Iterator[_Plain]:
    """Drop chunks that are known, and join small neighbours into blocks (format §4.3)."""
    parts: list[bytes] = []
    first = size = width = 0
    for one in cuts:
        index, new = _name(one, names)
        ends = one.file is None or bool(new and one.base)
        if parts and (
            ends or (new and (size + len(one.plain) > BLOCK_TARGET or width != one.width))
        ):
            yield _Plain(range(first, first + len(parts)), b"".join(parts), width)
            parts, size = [], 0
        if one.file is None:
            yield _Plain(range(0), b"")
        elif new and one.base:
            yield _Plain(range(index, index + 1), one.plain, one.width, one.base)
        elif new:
            first = first if parts else index
            width = one.width
            parts.append(one.plain)
            size += len(one.plain)


def _name(one: _Cut, names: ChunkNames) -> tuple[int, bool]:
    """Number a chunk, note it for its file, and tell whether it is to be carried and new."""
    if one.file is None:
        return 0, False
    index, new = names.add(one.digest, len(one.plain))
    one.file.chunks.append(index)
    return index, new


class _Filling:
    """Packs being filled with stored blocks, hashed as they come, and handed to the writer.

    A pack ends when it has 64 MiB, and with the item (format §12).
    """

    def __init__(self, writer: BundleWriter) -> None:
        self.packs: list[Pack] = []
        self.written = 0
        self.bases: dict[int, bytes] = {}
        """The digests of bases, by the chunk that is stored as a difference."""
        self._writer = writer
        self._begin_pack()

    def add(self, one: _Stored) -> None:
        """Append a block."""
        first, count = one.chunks.start, len(one.chunks)
        if one.base:
            self.bases[first] = one.base
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


def _is_small(one: _Cut) -> bool:
    return len(one.plain) <= _SMALL


def _hash(one: _Cut) -> _Cut:
    if one.file is None:
        return one
    return replace(one, digest=hashlib.sha256(one.plain).digest())


def _encode(manner: Manner, block: _Plain) -> _Stored:
    if not block.chunks:
        return _Stored(block.chunks, RAW, b"")
    base = manner.bases.read(block.base) if block.base else None
    if base is not None and _gains(block, base):
        stored = encode_difference(block.data, base, block.width)
        if len(stored) < len(block.data):
            return _Stored(block.chunks, DIFFERENCE, stored, block.base)
    return _Stored(block.chunks, *encode(block.data, block.width, manner.preset))


def _gains(block: _Plain, base: bytes) -> bool:
    """Tell from a sample whether a block is stored in less space as a difference."""
    middle = len(block.data) // 2 & ~(_SAMPLE - 1)
    plain, old = (one[middle : middle + _SAMPLE] for one in (block.data, base))
    difference = encode_difference(plain, old, block.width)
    return len(difference) < _GAIN * len(encode(plain, block.width)[1])


def _with_bases(pack: Pack, bases: Mapping[int, bytes], names: ChunkNames) -> Pack:
    """Number the bases of a pack's blocks, now that all carried chunks are known."""
    blocks = tuple(
        replace(block, base=names.index(names.need(bases[block.first_chunk], length)))
        if block.first_chunk in bases
        else block
        for block in pack.blocks
        for length in [names.length(block.first_chunk)]
    )
    return replace(pack, blocks=blocks)


def _item(source: Source, runs: Sequence[FileRun], names: ChunkNames) -> Item:
    entries = [*(run.entry(names) for run in runs), *plain_entries(source)]
    return make_item(source.kind, source.name, source.version, entries)
