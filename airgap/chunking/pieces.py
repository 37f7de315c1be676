"""The values that cutters take and return."""

from typing import NamedTuple, Protocol

__all__ = ["Peekable", "Piece", "Readable", "Region"]


class Peekable(Protocol):
    """A file that can be read at any offset, to find its structure.

    ``size`` is in bytes, and ``path`` the file's path in its item, whose end tells a wheel.
    """

    size: int
    path: str

    def peek(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset``, without moving on; fewer only at the end.

        A header may name any offset: past the end of the file, nothing is returned.
        """
        ...


class Readable(Peekable, Protocol):
    """A file to cut, which can also be read from its beginning to its end."""

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes; fewer only at the end."""
        ...


class Piece(NamedTuple):
    """The bytes of a chunk, and what its file's format says about them."""

    plain: bytes
    width: int = 0
    """The width of its numbers, in bytes; 0 if unknown."""
    part: str = ""
    """The tensor, archive member or header that it is cut from; empty if unknown."""
    offset: int = 0
    """Its offset in that part, in bytes."""


class Region(NamedTuple):
    """A part of a file that belongs together, such as a tensor. ``length`` is in bytes."""

    length: int
    width: int = 0
    """The width of its numbers, in bytes: 2, 4, 8 for floating point, 1 for any; 0 if unknown."""
    name: str = ""
    is_apart: bool = False
    """Whether it is a piece of its own although it is small."""
