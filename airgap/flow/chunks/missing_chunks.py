"""Chunks that a bundle needs of others (format §4.2), and what to ask for if they are missing."""

from collections.abc import Iterable, Sequence
from typing import Final

from airgap.errors import MissingError
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.format.manifest import NO_BASE, Manifest
from airgap.printable import count_text

__all__ = ["MissingChunks", "MissingChunksError"]


class MissingChunksError(MissingError):
    """Chunks that a bundle builds on are missing; ``wanted`` are their digests."""

    def __init__(self, message: str, hint: str, wanted: Sequence[bytes]) -> None:
        """Keep them beside the message."""
        super().__init__(message, hint)
        self.wanted = tuple(wanted)


class MissingChunks:
    """The needed chunks of one manifest, and where to get them."""

    def __init__(self, manifest: Manifest, sources: ChunkSources) -> None:
        """Look at nothing yet."""
        self.manifest = manifest
        self._sources = sources
        self._whole = set[int]()
        self._base_of = {
            block.first_chunk: block.base
            for pack in manifest.packs
            for block in pack.blocks
            if block.base != NO_BASE
        }

    def find(self, chunks: Iterable[int]) -> frozenset[int]:
        """Return those of the chunks that are missing, or that have a base which is missing.

        Every chunk that is needed is read and compared with its digest. A difference whose base is
        missing is not missing itself if another bundle has the chunk: see ``read_whole``.
        """
        carried, base_of = self.manifest.carried, self._base_of
        direct = {chunk: base_of.get(chunk, chunk) for chunk in chunks}
        direct |= {chunk: chunk for chunk in self._idle()}
        needed = {source for source in direct.values() if source >= carried}
        absent = self._absent(needed)
        lost = {chunk for chunk, source in direct.items() if source in absent}
        differences = {chunk for chunk in lost if direct[chunk] != chunk}
        self._whole = differences - self._absent(differences)
        lost -= self._whole
        if self._whole:  # a base that is needed for nothing else is not missing either
            bases = absent.intersection(self._base_of.values())
            lost -= bases.difference(map(direct.__getitem__, lost & differences), self._used())
        return frozenset(lost)

    def refuse(self, lacking: frozenset[int], *, packs_are_read: bool = False) -> None:
        """Refuse to continue without the chunks that ``find`` returned; say so if packs are intact.

        Raises:
            MissingChunksError: there are any.
        """
        if not lacking:
            return
        table = self.manifest.chunks
        size = sum(table.lengths[chunk] for chunk in lacking)
        begin = "The packs are intact, but the bundle" if packs_are_read else "The bundle"
        verbs = ("is", "has") if len(lacking) == 1 else ("are", "have")
        raise MissingChunksError(
            f"{begin} builds on an earlier one: {count_text(len(lacking), 'chunk')} ({size:,}"
            f" bytes) of what it needs {verbs[0]} missing here, or {verbs[1]} changed.",
            _HINT,
            [table.digest(chunk) for chunk in sorted(lacking)],
        )

    def read(self, chunk: int) -> bytes:
        """Return a needed chunk's bytes.

        Raises:
            MissingChunksError: it is not there any more.
        """
        data = self._sources.read(self.manifest.chunks.digest(chunk))
        if data is None:
            self.refuse(frozenset([chunk]))
        return data or b""

    def read_whole(self, chunk: int) -> bytes | None:
        """Return the bytes of a chunk that the bundle has only as a difference from a missing base.

        None for every other chunk.

        Raises:
            MissingChunksError: it is not there any more.
        """
        return self.read(chunk) if chunk in self._whole else None

    def _used(self) -> set[int]:
        """Return the chunks that are parts of files."""
        items = self.manifest.items
        return {chunk for item in items for file in item.files for chunk in file.chunks}

    def _idle(self) -> Iterable[int]:
        """Return the needed chunks that nothing in the bundle uses; none, if it is made well."""
        needed = set(range(self.manifest.carried, len(self.manifest.chunks)))
        needed.difference_update(self._base_of.values())
        for item in self.manifest.items if needed else ():
            for file in item.files:
                needed.difference_update(file.chunks)
        return needed

    def _absent(self, needed: set[int]) -> set[int]:
        """Read and compare needed chunks; return those that are missing."""
        table = self.manifest.chunks
        digests = {chunk: table.digest(chunk) for chunk in sorted(needed)}
        self._sources.locate(digests.values())
        absent = {chunk for chunk, digest in digests.items() if self._sources.read(digest) is None}
        if absent:
            wanted = {digests[chunk] for chunk in absent}
            self._sources.search(self.manifest.items, wanted)
            absent = {chunk for chunk in absent if self._sources.read(digests[chunk]) is None}
        return absent


_HINT: Final = (
    "Import the earlier bundle first, or name where it lies with --depot; or run this again with"
    " --want FILE, carry FILE to the sender, and have `airgap export --for FILE` make the rest."
)
