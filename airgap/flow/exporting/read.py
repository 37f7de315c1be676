"""Files as they are read: their digests, and the chunks that they turn out to have."""

import hashlib
from array import array
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from airgap.chunking.cutters import cut
from airgap.chunking.zeros import digest_chunk
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.unread import CachedChunk, CachedFile, keep_file
from airgap.flow.progress import Progress
from airgap.format.inventory import Entry, File, Folder, Link
from airgap.format.manifest import ChunkTable
from airgap.state.digest_cache import DigestCache
from airgap.store.source_tree import SourceFile, StableFile

__all__ = ["ChunkNames", "FileRun", "cut_and_name", "plain_entries"]


@dataclass(slots=True)
class FileRun:
    """A file being read: its digest so far, and the chunks it turned out to have."""

    source: SourceFile
    chunks: list[int] = field(default_factory=list)
    """As ``ChunkNames`` numbers them."""
    last: bytes = b""
    """The digest of the last chunk."""
    digest: "hashlib._Hash | None" = None
    sha256: bytes = b""
    """That of the whole file, if it need not be read as a whole."""
    widths: bytearray = field(default_factory=bytearray)
    """That of the numbers of each chunk, in bytes."""
    since: int = 0
    """When it began to be read, in ns since 1970; 0 if a change from then on may not show."""

    def feed(self, data: bytes) -> None:
        """Digest the next bytes; of a file that is one chunk, that need not be done."""
        if self.digest is None:
            self.digest = hashlib.sha256()
        self.digest.update(data)

    def entry(self, names: "ChunkNames") -> File:
        """Describe the file; call it when all chunks of all files are known."""
        source = self.source
        chunks = tuple(map(names.index, self.chunks))
        return File(source.path, source.executable, source.size, self._find_digest(), chunks)

    def keep(self, cache: DigestCache, names: "ChunkNames", table: ChunkTable) -> None:
        """Keep what was read of the file, if all of it was."""
        if not self.since:
            return
        chunks = [
            CachedChunk(table.digest(at), table.lengths[at], width)
            for at, width in zip(map(names.index, self.chunks), self.widths, strict=True)
        ]
        keep_file(cache, self.source, self.since, CachedFile(self._find_digest(), tuple(chunks)))

    def _find_digest(self) -> bytes:
        if self.sha256:
            return self.sha256
        return (self.digest or hashlib.sha256()).digest() if len(self.chunks) != 1 else self.last


class ChunkNames:
    """The chunk table being built: every chunk once (format §4.2).

    Carried chunks get the numbers 0, 1, 2 … in order of first appearance; in the table, they are in
    the order of their blocks. Needed chunks come after them, and are numbered -1, -2, -3 …
    """

    def __init__(self, held: Container[bytes] = frozenset()) -> None:
        """Begin with no chunk; those in ``held`` will be needed, not carried."""
        self._held = held
        self._carried: dict[bytes, int] = {}
        self._needed: dict[bytes, int] = {}
        self._lengths: list[int] = []
        self._needed_lengths: list[int] = []
        self._order: list[int] = []

    def add(self, digest: bytes, length: int) -> tuple[int, bool]:
        """Return the number of a file's chunk, and whether it is to be carried and new."""
        if digest in self._held:
            return self.need(digest, length), False
        index = self._carried.setdefault(digest, len(self._lengths))
        new = index == len(self._lengths)
        if new:
            self._lengths.append(length)
        return index, new

    def add_to(self, run: FileRun, digest: bytes, length: int) -> tuple[int, bool]:
        """Add a file's next chunk, and note it for the file."""
        index, new = self.add(digest, length)
        run.chunks.append(index)
        run.last = digest
        return index, new

    def need(self, digest: bytes, length: int) -> int:
        """Return the number of a needed chunk."""
        index = self._needed.setdefault(digest, -1 - len(self._needed_lengths))
        if -1 - index == len(self._needed_lengths):
            self._needed_lengths.append(length)
        return index

    def knows(self, digest: bytes) -> bool:
        """Tell whether a chunk is known not to be carried anew; any thread may ask.

        The answer no is a guess: ``add`` decides, in the order of the file.
        """
        return digest in self._held or digest in self._carried

    def length(self, carried: int) -> int:
        """Return the length in bytes of a carried chunk."""
        return self._lengths[carried]

    def place(self, chunks: Sequence[int]) -> int:
        """Place carried chunks next in the table; return the index of the first.

        If none is ever placed, as nothing is packed, they stay in order of first appearance.
        """
        first = len(self._order)
        self._order += chunks
        return first

    def index(self, number: int) -> int:
        """Return a chunk's index in the table; call it when all are placed."""
        if number < 0:
            return len(self._lengths) - 1 - number
        return self._indexes[number] if self._order else number

    @cached_property
    def _indexes(self) -> Sequence[int]:
        """The index of each carried chunk by its number."""
        indexes = array("I", bytes(4 * len(self._order)))
        for index, number in enumerate(self._order):
            indexes[number] = index
        return indexes

    def table(self) -> ChunkTable:
        """Return the table as a manifest has it (format §4.2)."""
        digests, order = list(self._carried), self._order or range(len(self._lengths))
        return ChunkTable(
            b"".join([*(digests[number] for number in order), *self._needed]),
            (*(self._lengths[number] for number in order), *self._needed_lengths),
        )


def cut_and_name(run: FileRun, names: ChunkNames, progress: Progress) -> Iterator[bytes]:
    """Cut a file, number its chunks, and yield their bytes."""
    with StableFile(run.source) as file:
        for piece in cut(file):
            run.feed(piece.plain)
            names.add_to(run, digest_chunk(piece.plain), len(piece.plain))
            progress.advance(len(piece.plain))
            yield piece.plain


def plain_entries(source: Source) -> list[Entry]:
    """Return the entries that have no content: links and empty folders."""
    links = [Link(path, target) for path, target in source.tree.links.items()]
    return [*links, *map(Folder, source.tree.empty_folders)]
