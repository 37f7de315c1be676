"""Packs being filled with stored blocks, several at a time (format §12).

Each row has packs of its own: a large file is one, and all small files of an item together. The
thread that adds blocks decides which pack ends when, and so in which order packs are written; other
threads digest the packs meanwhile, each in one of them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import NamedTuple

from airgap.carrier.port import BundleWriter
from airgap.codec.buffer import Buffer
from airgap.flow.digesters import Digester, Digesters
from airgap.flow.exporting.read import ChunkNames
from airgap.flow.exporting.unread import NOTHING_UNREAD, CachedPack, Unread
from airgap.format import limits
from airgap.format.manifest import Block, Pack

__all__ = ["FullPack", "PackBuilder", "PackWriting", "SettledBlock", "Stored", "StoredBlock"]


class Stored(NamedTuple):
    """How a block is stored."""

    codec: int
    data: Buffer
    base: bytes | None = None
    """The digest of the chunk that it is a difference of."""


class StoredBlock(NamedTuple):
    """A block: its row, its chunks as ``ChunkNames`` numbers them, and its stored bytes."""

    row: int
    chunks: tuple[int, ...]
    stored: Stored
    width: int = 0
    """Of its numbers, in bytes."""


class SettledBlock(NamedTuple):
    """A block that need not be read, and the digests of its chunks."""

    row: int
    chunks: tuple[int, ...]
    digests: tuple[bytes, ...]
    width: int


@dataclass(slots=True)
class FullPack:
    """A pack that is being filled, or was."""

    digester: Digester
    blocks: list[Block] = field(default_factory=list)
    """Until it is full, their chunks are counted from the pack's first one."""
    parts: list[Buffer] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    """As ``ChunkNames`` numbers them."""
    size: int = 0
    foreseen: CachedPack | None = None
    """What it is, if nothing in it was read."""
    widths: list[int] = field(default_factory=list)
    """Of the numbers of each block, in bytes."""
    bases: dict[int, bytes] = field(default_factory=dict)
    """The digests of bases, by the first chunk of the block that is stored as a difference."""
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _digests: "SimpleQueue[bytes]" = field(default_factory=SimpleQueue)

    def feed(self, data: Buffer) -> None:
        """Digest the next bytes."""
        self._hash.update(data)

    def seal(self) -> None:
        """Let the digest be known; call it after the last ``feed``, in the same thread."""
        self._digests.put(self._hash.digest())

    def wait_for_digest(self) -> bytes:
        """Return the pack's SHA-256 once ``seal`` was called; to be called once, by any thread."""
        return self.foreseen.digest if self.foreseen else self._digests.get()

    def append(self, block: Block, chunks: tuple[int, ...], width: int) -> None:
        """Append a block."""
        self.blocks.append(block)
        self.chunks += chunks
        self.widths.append(width)
        self.size += block.stored_length

    def is_as_foreseen(self) -> bool:
        """Tell whether the pack is what was foreseen, if anything was."""
        pack = self.foreseen
        return pack is None or (len(self.blocks), self.size) == (len(pack.blocks), pack.size)


class PackBuilder:
    """Fills packs, and hands over each that is full.

    A pack ends when it has 32 MiB, and with its row (format §12).
    """

    def __init__(
        self,
        names: ChunkNames,
        digesters: Digesters,
        put: Callable[[FullPack], None],
        unread: Unread = NOTHING_UNREAD,
    ) -> None:
        """Take who digests packs, who writes them, and what need not be read."""
        self.is_as_foreseen = True
        """Whether each pack of which nothing was read is the one that its chunks made before.

        If not, nothing that is added from then on counts.
        """
        self._unread = unread
        self.added = 0
        """Stored bytes in all."""
        self.bases: dict[int, tuple[bytes, int]] = {}
        """Digests and lengths of bases, by the carried chunk that is stored as a difference."""
        self._names = names
        self._digesters = digesters
        self._put = put
        self._open: dict[int, FullPack] = {}

    def add(self, block: StoredBlock) -> None:
        """Append a block to the pack of its row."""
        pack = self._open.get(block.row) or self._begin(block.row)
        self.is_as_foreseen &= pack.foreseen is None
        codec, data, base = block.stored
        first, count = len(pack.chunks), len(block.chunks)
        if base:
            pack.bases[first] = base
        pack.append(Block(pack.size, len(data), codec, first, count), block.chunks, block.width)
        pack.parts.append(data)
        self.added += len(data)
        pack.digester.submit(partial(pack.feed, data))
        if pack.size >= limits.PACK_TARGET_BYTES:
            self.end(block.row)

    def add_settled(self, block: SettledBlock) -> None:
        """Append a block that was not read; what was foreseen says how it is stored."""
        pack = self._open.get(block.row) or self._begin(block.row)
        if not pack.blocks:
            pack.foreseen = self._unread.packs.get(block.digests[0])
        stored = pack.foreseen.find_block(len(pack.blocks)) if pack.foreseen else None
        first, count = len(pack.chunks), len(block.chunks)
        if (
            pack.foreseen is None
            or stored is None
            or pack.foreseen.chunks[first : first + count] != block.digests
            or (stored.chunk_count, stored.width) != (count, block.width)
        ):
            self.is_as_foreseen = False
            return
        size = stored.stored_length
        pack.append(Block(pack.size, size, stored.codec, first, count), block.chunks, block.width)
        self.added += size
        if pack.size >= limits.PACK_TARGET_BYTES:
            self.end(block.row)

    def _begin(self, row: int) -> FullPack:
        pack = self._open[row] = FullPack(self._digesters.begin())
        return pack

    def end(self, row: int) -> None:
        """Have the row's pack written, if anything is in it."""
        pack = self._open.pop(row, None)
        if pack is None:
            return
        pack.digester.submit(pack.seal)
        pack.digester.end()
        self.is_as_foreseen &= pack.is_as_foreseen()
        if not self.is_as_foreseen:
            return
        first = self._names.place(pack.chunks)
        pack.blocks = [replace(each, first_chunk=first + each.first_chunk) for each in pack.blocks]
        for chunk, base in pack.bases.items():
            self.bases[first + chunk] = base, self._names.length(pack.chunks[chunk])
        self._put(pack)


class PackWriting:
    """Hands packs to a writer, until it refuses one; measures those that had to be written."""

    def __init__(self, writer: BundleWriter | None) -> None:
        """Take the writer; None: packs are only measured."""
        self.packs: list[Pack] = []
        """All packs in their order."""
        self.widths: list[list[int]] = []
        """Of the numbers of each block of each pack, in bytes; none if nothing of it was read."""
        self.done = 0
        """Stored bytes of packs that need no memory any more."""
        self.packs_written = 0
        self.bytes_written = 0
        self._writer = writer
        self._refused = False

    def write(self, pack: FullPack) -> None:
        """Write a pack as soon as its digest is known."""
        if self._refused:
            return
        self._refused = True  # unless this one is written
        digest = pack.wait_for_digest()
        self.packs.append(Pack(digest, pack.size, tuple(pack.blocks)))
        self.widths.append([] if pack.foreseen else pack.widths)
        if pack.foreseen or self._writer is None:
            pass  # it is there, or not wanted
        elif self._writer.put_pack(digest, pack.parts):
            self.packs_written += 1
            self.bytes_written += pack.size
        self.done += pack.size
        self._refused = False

    def forget_packs(self) -> None:
        """Forget which packs there are; those that were written stay."""
        self.packs, self.widths, self.done = [], [], 0
