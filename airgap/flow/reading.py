"""Files as they are read: what they digest to, and which chunks they turn out to have."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from airgap.chunking.cutters import cut
from airgap.flow.progress import Progress
from airgap.flow.selection import Source
from airgap.format.inventory import Entry, File, Folder, Link
from airgap.format.manifest import ChunkTable
from airgap.store.tree import SourceFile, open_stable

__all__ = ["ChunkNames", "FileRun", "named", "plain_entries"]


@dataclass(slots=True)
class FileRun:
    """A file being read: its digest so far, and the chunks it turned out to have."""

    source: SourceFile
    digest: "hashlib._Hash"
    chunks: list[int] = field(default_factory=list)

    def entry(self) -> File:
        """Describe the file; call it when all its chunks are known."""
        one = self.source
        digest = self.digest.digest()
        return File(one.path, one.executable, one.size, digest, tuple(self.chunks))


class ChunkNames:
    """The chunk table being built: every chunk once, in order of first appearance."""

    def __init__(self) -> None:
        """Begin with no chunk."""
        self._index: dict[bytes, int] = {}
        self._lengths: list[int] = []

    def add(self, digest: bytes, length: int) -> tuple[int, bool]:
        """Return the chunk's index, and whether it is new."""
        index = self._index.setdefault(digest, len(self._lengths))
        new = index == len(self._lengths)
        if new:
            self._lengths.append(length)
        return index, new

    def table(self) -> ChunkTable:
        """Return the table as a manifest has it (format §4.2)."""
        return ChunkTable(b"".join(self._index), tuple(self._lengths))


def named(run: FileRun, names: ChunkNames, progress: Progress) -> Iterator[bytes]:
    """Cut a file, name its chunks, and pass them on."""
    with open_stable(run.source) as file:
        for piece in cut(file):
            run.digest.update(piece.plain)
            index, _ = names.add(hashlib.sha256(piece.plain).digest(), len(piece.plain))
            run.chunks.append(index)
            progress.advance(len(piece.plain))
            yield piece.plain


def plain_entries(source: Source) -> list[Entry]:
    """Return the entries that have no content: links and empty folders."""
    links = [Link(path, target) for path, target in source.tree.links.items()]
    return [*links, *map(Folder, source.tree.empty_folders)]
