"""The values that cutters take and pass on."""

from typing import NamedTuple, Protocol

__all__ = ["Peekable", "Piece", "Readable", "Region"]


class Peekable(Protocol):
    """A file whose structure is to be learned: it may be looked into anywhere."""

    size: int

    def peek(self, offset: int, count: int) -> bytes:
        """Return bytes from anywhere, without moving on; fewer only at the end."""
        ...


class Readable(Peekable, Protocol):
    """A file to be cut: also read from its beginning to its end."""

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes; fewer only at the end."""
        ...


class Piece(NamedTuple):
    """The bytes of a chunk, and what its file says of them."""

    plain: bytes
    width: int = 0
    """Of its numbers, in bytes; 0 if they are not known to be numbers."""
    part: str = ""
    """The tensor, archive member or header it is cut from; empty if the file says nothing."""
    offset: int = 0
    """In bytes, from the beginning of that part."""


class Region(NamedTuple):
    """A part of a file, in bytes, that its format says belongs together."""

    length: int
    width: int = 0
    """Of its numbers, in bytes: 2, 4 and 8 are floating point, 1 is anything that small."""
    name: str = ""
