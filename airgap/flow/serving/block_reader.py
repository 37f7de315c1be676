"""Reads plain bytes out of the packs of a depot by ranges, and compares every chunk's digest.

Each block is fetched by itself, from a folder or a server (format §4.3): no pack is read whole for
one chunk of it.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import Final

from airgap.codec.buffer import Buffer
from airgap.codec.table import decode
from airgap.errors import CorruptError, MissingError
from airgap.flow.serving.block_cache import BlockCache
from airgap.flow.serving.readable import ChunkSource, ReadableBundle
from airgap.format import layout, limits
from airgap.format.fields import DIGEST_BYTES
from airgap.format.inventory import File
from airgap.format.manifest import Block, Manifest, Pack
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = ["BlockReader", "DamagedPackError"]

_CACHE_BYTES: Final = 32 * limits.MIB


class DamagedPackError(CorruptError):
    """A pack is not what a manifest says; ``pack`` is its digest."""

    def __init__(self, message: str, hint: str, pack: bytes) -> None:
        """Keep it beside the message."""
        super().__init__(message, hint)
        self.pack = pack


class BlockReader:
    """Reads from one depot. Threads may read at once, over the connections of a pool."""

    def __init__(
        self, location: str, pool: ConnectionPool[Buffer], budget: int = _CACHE_BYTES
    ) -> None:
        """Keep at most ``budget`` bytes of plain blocks in memory.

        ``location`` is the depot's, for messages. Who gives the pool closes it.
        """
        self._location = location
        self._pool = pool
        self._cache = BlockCache(budget)

    def read_file(
        self, bundle: ReadableBundle, file: File, start: int = 0, stop: int | None = None
    ) -> Iterator[Buffer]:
        """Yield the bytes of a file from ``start`` to before ``stop``, chunk by chunk.

        Raises:
            DamagedPackError: a pack is damaged or gone; what was yielded before is right.
            TransportError: the depot cannot be read.
        """
        stop = file.size if stop is None else stop
        position = 0
        for chunk in file.chunks:
            length = bundle.manifest.chunks.lengths[chunk]
            first, last = max(start - position, 0), min(stop - position, length)
            if first < last:
                yield memoryview(self.read_chunk(bundle, chunk))[first:last]
            position += length
            if position >= stop:
                return

    def read_chunk(self, bundle: ReadableBundle, chunk: int) -> Buffer:
        """Return the plain bytes of one chunk, which has its digest; raises as ``read_file``."""
        return self._read(bundle, bundle.find(chunk))

    def _read(self, bundle: ReadableBundle, source: ChunkSource) -> Buffer:
        manifest = source.bundle.manifest
        pack, block = source.bundle.locate(source.chunk)
        key = manifest.chunks.digests[
            block.first_chunk * DIGEST_BYTES : (block.first_chunk + block.chunk_count)
            * DIGEST_BYTES
        ]
        plain = self._cache.get(key, partial(self._load, bundle, source, pack, block))
        lengths = manifest.chunks.lengths
        begin = sum(lengths[block.first_chunk : source.chunk])
        return memoryview(plain)[begin : begin + lengths[source.chunk]]

    def _load(
        self, bundle: ReadableBundle, source: ChunkSource, pack: Pack, block: Block
    ) -> Buffer:
        base = bundle.find_base(source)
        base_bytes = bytes(self._read(bundle, base)) if base is not None else b""
        name = layout.pack_name(pack.digest)
        fetch = partial(_fetch, name, block.offset, block.stored_length)
        try:
            stored = self._pool.result(self._pool.submit(fetch))
        except MissingError as error:
            raise self._damaged(pack) from error
        manifest = source.bundle.manifest
        lengths = manifest.chunks.lengths[block.first_chunk : block.first_chunk + block.chunk_count]
        if len(stored) != block.stored_length:
            raise self._damaged(pack)
        try:
            plain = decode(block.codec, stored, sum(lengths), base_bytes)
        except CorruptError as error:
            raise self._damaged(pack) from error
        if not _has_digests(manifest, block, plain):
            raise self._damaged(pack)
        return plain

    def _damaged(self, pack: Pack) -> DamagedPackError:
        return DamagedPackError(
            f"{self._location}/{layout.pack_name(pack.digest)} is damaged or gone: a block of"
            " it is not what its manifest says.",
            "Copy it from its source again, or repair the depot with `airgap repair`.",
            pack.digest,
        )


def _fetch(name: str, offset: int, length: int, transport: Transport) -> Buffer:
    stored = bytearray()
    transport.get(name, stored.extend, offset, length)
    return memoryview(stored)


def _has_digests(manifest: Manifest, block: Block, plain: Buffer) -> bool:
    table, view, first = manifest.chunks, memoryview(plain), block.first_chunk
    ends = list(accumulate(table.lengths[first : first + block.chunk_count], initial=0))
    return all(
        hashlib.sha256(view[ends[at] : ends[at + 1]]).digest() == table.digest(first + at)
        for at in range(block.chunk_count)
    )
