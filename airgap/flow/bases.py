"""What the other side holds already, and what new chunks may be differences of."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from airgap.flow.parts import Parts, parts_of
from airgap.flow.selection import Source
from airgap.flow.supplies import Shelf, Supplies

__all__ = ["NO_BASES", "Bases", "Wanted", "bases_of"]

_NOTHING: Final[Parts] = MappingProxyType({})


@dataclass(frozen=True)
class Bases:
    """The chunks that the other side holds."""

    held: Container[bytes] = frozenset()
    """Their digests."""
    shelves: Sequence[Shelf] = ()
    supplies: Supplies = field(default_factory=Supplies)

    def resembling(self, source: Source, path: str) -> Parts:
        """Return what the other side holds of the same file of another version of an item.

        The last bundle that has the file counts.
        """
        for shelf in reversed(self.shelves):
            for item in shelf.manifest.items:
                if (item.kind, item.name) != (source.kind, source.name):
                    continue
                for file in item.files:
                    if file.path == path and len(file.chunks) > 1:
                        return parts_of(file, shelf.manifest.chunks, self.supplies)
        return _NOTHING

    def read(self, digest: bytes) -> bytes | None:
        """Return a base chunk's bytes, compared with its digest; None if they are not here."""
        return self.supplies.read(digest)


NO_BASES: Final = Bases()


class Wanted:
    """All chunks but those that the other side asked for."""

    def __init__(self, wanted: Container[bytes]) -> None:
        """Take the digests that it asked for."""
        self._wanted = wanted

    def __contains__(self, digest: object) -> bool:
        """Tell whether the other side has it, or can do without it."""
        return digest not in self._wanted


def bases_of(shelves: Sequence[Shelf]) -> Bases:
    """Return what somebody holds who has imported these bundles."""
    held = {
        shelf.manifest.chunks.digest(chunk)
        for shelf in shelves
        for item in shelf.manifest.items
        for file in item.files
        for chunk in file.chunks
    }
    return Bases(frozenset(held), tuple(shelves), Supplies(shelves))
