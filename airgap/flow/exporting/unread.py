"""What an export need not read: files and packs that are as they were when they were read.

A file that has not changed has the chunks that the cache names. Where these, in the same order,
made a pack earlier, and the destination has that pack, neither is read. All of this is a guess
until the packs are put together: ``pack_items`` compares each pack with what was foreseen, and
begins anew without this if one differs.
"""

import os
import struct
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, islice
from typing import Final, NamedTuple

from airgap.codec.table import Preset
from airgap.codec.zstd import LIBRARY
from airgap.disk.file_state import FileState
from airgap.flow.exporting.bases import Bases
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.turns import is_read_again, split_into_rows
from airgap.format import limits
from airgap.format.manifest import Block, ChunkTable, Pack
from airgap.state.digest_cache import DigestCache
from airgap.store.source_tree import SourceFile
from airgap.version import __version__

__all__ = [
    "NOTHING_UNREAD",
    "CachedChunk",
    "CachedFile",
    "CachedPack",
    "Unread",
    "find_unread",
    "keep_file",
    "keep_pack",
    "load_file",
]

CUTS: Final = 1
"""Raise it when the same file is cut in other places, or its chunks get other widths."""
CODING: Final = 1
"""Raise it when the same chunks are joined, stored or put into packs in another way."""
_CHUNK: Final = struct.Struct("<32sIB")
_HEAD: Final = struct.Struct("<I32s")
_PACK: Final = struct.Struct("<32sII")
_BLOCK: Final = struct.Struct("<IBIB")


class CachedChunk(NamedTuple):
    """A chunk of a file: its SHA-256, its length in bytes, and the width of its numbers."""

    digest: bytes
    length: int
    width: int


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file that was read before: its SHA-256, and its chunks in order."""

    digest: bytes
    chunks: tuple[CachedChunk, ...]


class CachedBlock(NamedTuple):
    """How a block was stored."""

    stored_length: int
    codec: int
    chunk_count: int
    width: int


@dataclass(frozen=True, slots=True)
class CachedPack:
    """A pack that was made before, and the digests of its chunks in order."""

    digest: bytes
    size: int
    blocks: tuple[CachedBlock, ...]
    chunks: tuple[bytes, ...]

    def find_block(self, index: int) -> CachedBlock | None:
        """Return a block; None if there are not so many."""
        return self.blocks[index] if index < len(self.blocks) else None


@dataclass(frozen=True)
class Unread:
    """What need not be read."""

    files: Mapping[str, CachedFile] = field(default_factory=dict)
    """By location."""
    packs: Mapping[bytes, CachedPack] = field(default_factory=dict)
    """Those that the destination has, by their first chunk."""
    settled: Container[bytes] = frozenset()
    """The chunks of these packs, and those that the other side holds."""

    def find_file(self, file: SourceFile) -> CachedFile | None:
        """Return what is known of a file that need not be read as a whole."""
        return self.files.get(file.location) if file.within is None else None

    def measure_read(self, sources: Sequence[Source]) -> int:
        """Return the bytes of these items that are to be read."""
        return sum(map(self._measure_file, (file for each in sources for file in each.tree.files)))

    def _measure_file(self, file: SourceFile) -> int:
        cached = self.find_file(file)
        if cached is None:
            return file.size
        return sum(chunk.length for chunk in cached.chunks if chunk.digest not in self.settled)


NOTHING_UNREAD: Final = Unread()


def load_file(cache: DigestCache, file: SourceFile) -> CachedFile | None:
    """Return what a file was when it was read, unless it may have changed since."""
    state = _look(file)
    value = cache.load_for("file", file.location, state) if cache.is_usable and state else None
    if value is None or len(value) < _HEAD.size:
        return None
    cuts, digest = _HEAD.unpack_from(value)
    chunks = tuple(map(CachedChunk._make, _CHUNK.iter_unpack(value[_HEAD.size :])))
    if cuts != CUTS or sum(chunk.length for chunk in chunks) != file.size:
        return None
    return CachedFile(digest, chunks)


def keep_file(cache: DigestCache, file: SourceFile, since: int, read: CachedFile) -> None:
    """Keep what a file was that was read after ``since``, in ns since 1970."""
    state = _look(file)
    if state:
        chunks = b"".join(_CHUNK.pack(*chunk) for chunk in read.chunks)
        value = _HEAD.pack(CUTS, read.digest) + chunks
        cache.add_for("file", file.location, state, since, value)


def keep_pack(
    cache: DigestCache, preset: Preset, pack: Pack, widths: Sequence[int], table: ChunkTable
) -> None:
    """Keep what chunks a pack holds, with the width of the numbers of each block."""
    blocks = [
        _BLOCK.pack(block.stored_length, block.codec, block.chunk_count, width)
        for block, width in zip(pack.blocks, widths, strict=True)
    ]
    digests = [table.digest(chunk) for chunk in pack.chunk_range]
    head = _PACK.pack(pack.digest, pack.size, len(blocks))
    key = _name_coding(preset) + digests[0]
    cache.add("pack", key, head + b"".join(blocks) + b"".join(digests))


def find_unread(
    sources: Sequence[Source],
    cache: DigestCache,
    preset: Preset,
    bases: Bases,
    has_pack: Callable[[Pack], bool],
) -> Unread:
    """Find what an export of these items need not read.

    ``has_pack`` tells whether the destination has a pack, and that it is whole. Where chunks may be
    stored as differences, chunks alone do not make a pack: then files are read as a whole, unless
    the other side has all their chunks.
    """
    if not cache.is_usable:
        return NOTHING_UNREAD
    files: dict[str, CachedFile] = {}
    packs: dict[bytes, CachedPack] = {}
    settled = set[bytes]()
    coding = _name_coding(preset)
    for source in sources:
        rows = [row for row in split_into_rows(source.tree.files) if not is_read_again(row)]
        for file in chain.from_iterable(rows):
            cached = load_file(cache, file)
            if cached:
                files[file.location] = cached
        for row in () if bases.bundles else rows:
            digests = _drop_copies((files.get(file.location) for file in row), settled, bases.have)
            for pack in _find_packs(digests, cache, coding, has_pack):
                packs[pack.chunks[0]] = pack
                settled.update(pack.chunks)
    if bases.bundles:
        files = {at: file for at, file in files.items() if _is_held(file, bases.have)}
    return Unread(files, packs, _Either(settled, bases.have))


def _is_held(file: CachedFile, held: Container[bytes]) -> bool:
    return all(chunk.digest in held for chunk in file.chunks)


@dataclass(frozen=True, slots=True)
class _Either:
    """Holds what one of two holds."""

    one: Container[bytes]
    other: Container[bytes]

    def __contains__(self, digest: object) -> bool:
        return digest in self.one or digest in self.other


def _drop_copies(
    row: Iterable[CachedFile | None], before: Container[bytes], held: Container[bytes]
) -> list[bytes | None]:
    """Return the digests of chunks that packs have to carry; None for a file that is read."""
    seen = set[bytes]()
    digests: list[bytes | None] = []
    for file in row:
        if file is None:
            digests.append(None)
        for digest, _, _ in file.chunks if file else ():
            if not (digest in seen or digest in before or digest in held):
                seen.add(digest)
                digests.append(digest)
    return digests


def _find_packs(
    digests: Sequence[bytes | None],
    cache: DigestCache,
    coding: bytes,
    has_pack: Callable[[Pack], bool],
) -> Iterator[CachedPack]:
    """Yield the packs that these chunks made earlier, and that the destination has."""
    at = 0
    while at < len(digests):
        first = digests[at]
        pack = _load_pack(cache, coding, first) if first is not None else None
        end = at + len(pack.chunks) if pack else at + 1
        if (
            pack
            and tuple(islice(digests, at, end)) == pack.chunks
            and (pack.size >= limits.PACK_TARGET_BYTES or end == len(digests))
            and has_pack(_make_pack(pack))
        ):
            yield pack
        else:
            end = at + 1
        at = end


def _load_pack(cache: DigestCache, coding: bytes, first: bytes) -> CachedPack | None:
    value = cache.load("pack", coding + first)
    if value is None or len(value) < _PACK.size:
        return None
    digest, size, count = _PACK.unpack_from(value)
    end = _PACK.size + count * _BLOCK.size
    blocks = tuple(map(CachedBlock._make, _BLOCK.iter_unpack(value[_PACK.size : end])))
    digests = value[end:]
    chunks = tuple(digests[start : start + 32] for start in range(0, len(digests), 32))
    return CachedPack(digest, size, blocks, chunks)


def _make_pack(pack: CachedPack) -> Pack:
    """Make the pack as a manifest has it, for a bundle that begins with it."""
    blocks, offset, first = [], 0, 0
    for block in pack.blocks:
        blocks.append(Block(offset, block.stored_length, block.codec, first, block.chunk_count))
        offset += block.stored_length
        first += block.chunk_count
    return Pack(pack.digest, pack.size, tuple(blocks))


def _name_coding(preset: Preset) -> bytes:
    """Name all that decides how chunks become a pack, beside the chunks."""
    name = f"{__version__} {CODING} {preset} {LIBRARY}"
    return sha256(name.encode()).digest()[:16]


def _look(file: SourceFile) -> FileState | None:
    """Return how a file looks now; None unless it is the one that was scanned."""
    with suppress(OSError):
        state = FileState.of(os.stat(file.location))  # noqa: PTH116  (quick, for many files)
        if file.within is None and state[2:] == (file.size, *file.times):
            return state
    return None
