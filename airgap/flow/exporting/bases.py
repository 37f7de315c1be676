"""What the other side holds already, and what new chunks may be differences of."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from airgap.flow.chunks.chunk_sources import BaseBundle, ChunkSources
from airgap.flow.chunks.tensor_parts import Parts, find_parts
from airgap.flow.exporting.select import Source
from airgap.flow.location.location import Location, parse_location
from airgap.format.inventory import File
from airgap.format.kinds import Kind
from airgap.format.manifest import ChunkTable

__all__ = ["NO_BASES", "Bases", "Wanted", "make_bases", "parse_bases"]

_NOTHING: Final[Parts] = MappingProxyType({})


@dataclass(frozen=True)
class Bases:
    """The chunks that the other side holds."""

    have: Container[bytes] = frozenset()
    """Their digests."""
    bundles: Sequence[BaseBundle] = ()
    chunk_sources: ChunkSources = field(default_factory=ChunkSources)

    def find_similar(self, source: Source, path: str) -> Parts:
        """Return what the other side holds of the same file of another version of an item.

        The last bundle that has the file counts, and in it the first item.
        """
        candidates = self._files.get((source.kind, source.name, path))
        return find_parts(*candidates, self.chunk_sources) if candidates else _NOTHING

    @cached_property
    def _files(self) -> Mapping[tuple[Kind, str, str], tuple[File, ChunkTable]]:
        """The files of several chunks, by kind and name of their item, and path."""
        return {
            (item.kind, item.name, file.path): (file, bundle.manifest.chunks)
            for bundle in self.bundles
            for item in reversed(bundle.manifest.items)
            for file in item.files
            if len(file.chunks) > 1
        }

    def read(self, digest: bytes) -> bytes | None:
        """Return a base chunk's bytes, compared with its digest; None if they are not here."""
        return self.chunk_sources.read(digest)


NO_BASES: Final = Bases()


class Wanted:
    """All chunks but those that the other side asked for."""

    def __init__(self, wanted: Container[bytes]) -> None:
        """Take the digests that it asked for."""
        self._wanted = wanted

    def __contains__(self, digest: object) -> bool:
        """Tell whether the other side has it, or can do without it."""
        return digest not in self._wanted


def make_bases(bundles: Sequence[BaseBundle]) -> Bases:
    """Return the chunks of a site that has imported these bundles."""
    have = {
        bundle.manifest.chunks.digest(chunk)
        for bundle in bundles
        for item in bundle.manifest.items
        for file in item.files
        for chunk in file.chunks
    }
    return Bases(frozenset(have), tuple(bundles), ChunkSources(bundles))


def parse_bases(texts: Sequence[str]) -> list[Location]:
    """Parse what a person names as bases: locations, and ``receipt:SITE``, what a site holds.

    Raises:
        UsageError: one is not a location.
        MissingError: no receipt of a site was accepted, or it holds nothing that was exported here.
    """
    bases: list[Location] = []
    for text in texts:
        from airgap.flow.receipts.confirmations import BASE_PREFIX, find_bases  # few have bases

        if text.startswith(BASE_PREFIX):
            bases += find_bases(text.removeprefix(BASE_PREFIX))
        else:
            bases.append(parse_location(text))
    return bases
