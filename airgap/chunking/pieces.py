"""The values that cutters pass on."""

from typing import NamedTuple

__all__ = ["Piece", "Region"]


class Piece(NamedTuple):
    """The bytes of a chunk, and the width in bytes of its numbers (0: not known to be numbers)."""

    plain: bytes
    width: int = 0


class Region(NamedTuple):
    """A part of a file, in bytes, that its format says belongs together."""

    length: int
    width: int = 0
