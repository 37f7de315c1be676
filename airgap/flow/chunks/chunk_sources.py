"""Chunks that a bundle needs and does not carry: found here by their digests (format §4.2).

They come from the items that are installed, whose files older manifests describe, and from the
packs of other bundles. Nothing is trusted: each chunk read is compared with its SHA-256.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Final

from airgap.carrier.port import BundleReader
from airgap.chunking.cutters import cut
from airgap.codec.table import DIFFERENCE, decode
from airgap.disk.presence import is_folder
from airgap.errors import AirgapError
from airgap.format.inventory import Item
from airgap.format.manifest import Block, Manifest
from airgap.state import installed_manifests
from airgap.store.kinds import install_path
from airgap.store.source_tree import SourceFile, StableFile, find_files

__all__ = ["BaseBundle", "ChunkSources"]

_BUNDLES_AT_WORK: Final = 2
"""Of how many bundles a pack is kept in memory: a difference, and its base."""
_DEEPEST: Final = 100
"""How many differences may lie on each other, in other bundles."""


@dataclass(frozen=True, slots=True)
class _InFile:
    """Where a chunk lies in an installed file; offset and length in bytes."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _InPack:
    """Where a chunk lies in a bundle."""

    bundle: "BaseBundle"
    pack: int
    block: Block
    chunk: int


@dataclass(frozen=True)
class BaseBundle:
    """A bundle that may have chunks: in its packs, and in its items if they are installed."""

    manifest: Manifest
    reopen: Callable[[], BundleReader] | None = None
    """Returns a reader whose next call may be ``read_packs``; None if there are no packs."""


class ChunkSources:
    """Where chunks are, by digest, for one import or export. Threads may read at once."""

    def __init__(self, bundles: Sequence[BaseBundle] = ()) -> None:
        """Take the bundles to look into beside what earlier imports have left here."""
        self._shelves = bundles
        self._found: dict[bytes, list[_InFile | _InPack]] = {}
        self._packs: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._lock = Lock()

    def locate(self, wanted: Iterable[bytes]) -> None:
        """Find where chunks may be, and the chunks that those are differences of.

        Nothing is read but manifests.
        """
        todo = frozenset(wanted) - self._found.keys()
        while todo:
            self._found |= {digest: [] for digest in todo}
            bases = self._look(self._shelves, todo)
            unseen = frozenset(digest for digest in todo if not self._found[digest])
            if unseen:
                bases |= self._look(map(BaseBundle, installed_manifests.load()), unseen)
            todo = frozenset(bases - self._found.keys())

    def _look(self, bundles: Iterable[BaseBundle], wanted: Collection[bytes]) -> set[bytes]:
        """Note where chunks are; return what those are differences of."""
        bases = set[bytes]()
        for bundle in bundles:
            for digest, place in _find_places(bundle, wanted):
                self._found[digest].append(place)
                bases |= _find_base(place)
        return bases

    def search(self, items: Iterable[Item], wanted: Collection[bytes]) -> None:
        """Look for chunks in all installed versions of these items, by cutting and hashing them."""
        for digest, place in _cut_installed(items):
            if digest in wanted:
                self._found.setdefault(digest, []).append(place)

    def read(self, digest: bytes, depth: int = 0) -> bytes | None:
        """Return the plain bytes of a located chunk; None if it was not found, or has changed."""
        for place in self._found.get(digest, ()):
            data = _read_file(place) if isinstance(place, _InFile) else self._unpack(place, depth)
            if data is not None and hashlib.sha256(data).digest() == digest:
                return data
        return None

    def _unpack(self, source: _InPack, depth: int) -> bytes | None:
        """Decode a chunk out of another bundle's pack."""
        table, block = source.bundle.manifest.chunks, source.block
        base: bytes | None = b""
        if block.codec == DIFFERENCE:
            base = self.read(table.digest(block.base), depth + 1) if depth < _DEEPEST else None
        pack = self._pack(source.bundle, source.pack)
        if base is None or pack is None:
            return None
        lengths = table.lengths[block.first_chunk : block.first_chunk + block.chunk_count]
        stored = pack[block.offset : block.offset + block.stored_length]
        with suppress(AirgapError):  # damaged, or made wrongly: as good as missing
            plain = decode(block.codec, stored, sum(lengths), base)
            start = sum(lengths[: source.chunk - block.first_chunk])
            return bytes(plain[start : start + table.lengths[source.chunk]])
        return None

    def _pack(self, bundle: BaseBundle, index: int) -> bytes | None:
        """Read a pack, or take it from memory; None if it is not there or not what it should be."""
        with self._lock:
            kept = self._packs.pop(id(bundle), None)
            if kept is None or kept[0] != index:
                kept = None  # leaves memory before the next one comes
                while len(self._packs) >= _BUNDLES_AT_WORK:
                    self._packs.popitem(last=False)
                data = _read_pack(bundle, index)
                if data is None:
                    return None
                kept = index, data
            self._packs[id(bundle)] = kept
            return kept[1]


def _find_base(source: _InFile | _InPack) -> set[bytes]:
    """Return the digest of the chunk that a chunk is a difference of."""
    if isinstance(source, _InFile) or source.block.codec != DIFFERENCE:
        return set()
    return {source.bundle.manifest.chunks.digest(source.block.base)}


def _cut_installed(items: Iterable[Item]) -> Iterator[tuple[bytes, _InFile]]:
    """Cut the installed versions of some items; yield where each chunk lies."""
    for versions in {install_path(item).final.parent for item in items}:
        for file in find_files(versions, versions.parent):
            with suppress(AirgapError):  # what cannot be read, or changes, counts as missing
                yield from _cut_file(file)


def _cut_file(file: SourceFile) -> Iterator[tuple[bytes, _InFile]]:
    """Cut an installed file. Raises StorageError if it cannot be read or changes."""
    offset = 0
    with StableFile(file) as stable:
        for piece in cut(stable):
            place = _InFile(Path(file.location), offset, len(piece.plain))
            yield hashlib.sha256(piece.plain).digest(), place
            offset += len(piece.plain)


def _find_places(
    bundle: BaseBundle, wanted: Collection[bytes]
) -> Iterator[tuple[bytes, _InFile | _InPack]]:
    table = bundle.manifest.chunks
    indexes = {at for at in range(len(table)) if table.digest(at) in wanted}
    if not indexes:
        return
    for chunk, place in _find_in_files(bundle.manifest, indexes):
        yield table.digest(chunk), place
    for number, pack in enumerate(bundle.manifest.packs if bundle.reopen else ()):
        if indexes.isdisjoint(pack.chunk_range):
            continue
        for block in pack.blocks:
            for chunk in range(block.first_chunk, block.first_chunk + block.chunk_count):
                if chunk in indexes:
                    yield table.digest(chunk), _InPack(bundle, number, block, chunk)


def _find_in_files(manifest: Manifest, indexes: Container[int]) -> Iterator[tuple[int, _InFile]]:
    """Yield where chunks lie in the manifest's items, if those are installed."""
    for item in manifest.items:
        folder = install_path(item).final
        if not is_folder(folder):
            continue
        for file in item.files:
            lengths = [manifest.chunks.lengths[chunk] for chunk in file.chunks]
            starts = accumulate(lengths, initial=0)
            for chunk, start, length in zip(file.chunks, starts, lengths, strict=False):
                if chunk in indexes:
                    yield chunk, _InFile(folder / file.path, start, length)


def _read_file(source: _InFile) -> bytes | None:
    """Read a chunk from an installed file; None if the file is gone or shorter."""
    with suppress(OSError), source.path.open("rb") as file:
        file.seek(source.offset)
        return file.read(source.length)
    return None


def _read_pack(bundle: BaseBundle, index: int) -> bytes | None:
    pack = bundle.manifest.packs[index]
    if bundle.reopen is None:
        return None
    with suppress(AirgapError):
        reader = bundle.reopen()
        try:
            _, data = next(reader.packs.read_packs(bundle.manifest.packs, {index}))
        finally:
            reader.close()
        if not isinstance(data, AirgapError) and hashlib.sha256(data).digest() == pack.digest:
            return bytes(data)
    return None
