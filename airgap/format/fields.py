"""Strict access to decoded maps: exact keys, exact types (format §2.1)."""

import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from airgap.errors import CorruptError, PolicyError
from airgap.format import limits
from airgap.printable import quote

__all__ = [
    "DIGEST_BYTES",
    "HASH",
    "Fields",
    "U32Column",
    "decode_u32",
    "encode_u32",
    "refuse_newer",
]

U32Column: TypeAlias = "array[int]"
"""Four bytes per element in memory, too; a list needs forty."""

HASH: Final = "sha256"
DIGEST_BYTES: Final = 32
_U32: Final = struct.Struct(">I")


class Fields:
    """A decoded map with exactly the expected keys; each getter checks one type."""

    __slots__ = ("_map", "_what")

    def __init__(self, value: Any, keys: frozenset[str], what: str) -> None:  # noqa: ANN401
        """Raise CorruptError unless ``value`` is a map with exactly ``keys``."""
        self._what = what
        if type(value) is not dict or value.keys() != keys:
            raise self.error(f"must have exactly the fields {', '.join(sorted(keys))}")
        self._map = value

    def error(self, problem: str) -> CorruptError:
        """Make an error; ``problem`` completes the sentence "The manifest …"."""
        return CorruptError(f"The {self._what} {problem}.", "Ask the sender to export it again.")

    def is_nil(self, key: str) -> bool:
        """Tell whether a field is nil."""
        return self._map[key] is None

    def text(self, key: str, limit: int = limits.PATH_BYTES) -> str:
        """Return a string of at most ``limit`` characters."""
        value = self._map[key]
        if type(value) is not str or len(value) > limit:
            raise self.error(f"must have a string of at most {limit} characters in '{key}'")
        return value

    def integer(self, key: str, low: int = 0, high: int = limits.INTEGER) -> int:
        """Return an integer from ``low`` to ``high``."""
        value = self._map[key]
        if type(value) is not int or not low <= value <= high:
            raise self.error(f"must have an integer from {low} to {high} in '{key}'")
        return value

    def time(self, key: str) -> int:
        """Return a time in seconds since 1970."""
        return self.integer(key, high=limits.TIME)

    def time_or_none(self, key: str) -> int | None:
        """Return a time in seconds since 1970, or None."""
        return None if self._map[key] is None else self.time(key)

    def boolean(self, key: str) -> bool:
        """Return a boolean."""
        value = self._map[key]
        if type(value) is not bool:
            raise self.error(f"must have a boolean in '{key}'")
        return value

    def raw(self, key: str) -> bytes:
        """Return a byte string."""
        value = self._map[key]
        if type(value) is not bytes:
            raise self.error(f"must have a byte string in '{key}'")
        return value

    def digest(self, key: str) -> bytes:
        """Return a digest of 32 bytes."""
        value = self.raw(key)
        if len(value) != DIGEST_BYTES:
            raise self.error(f"has a digest of {len(value)} bytes (expected 32) in '{key}'")
        return value

    def array(self, key: str, limit: int) -> list[Any]:
        """Return an array of at most ``limit`` elements of any type."""
        value = self._map[key]
        if type(value) is not list or len(value) > limit:
            raise self.error(f"must have an array of at most {limit:,} elements in '{key}'")
        return value

    def table(self, key: str, limit: int) -> dict[str, Any]:
        """Return a map of at most ``limit`` entries."""
        value = self._map[key]
        if type(value) is not dict or len(value) > limit:
            raise self.error(f"must have a map of at most {limit:,} entries in '{key}'")
        return value

    def sorted_texts(self, key: str, limit: int) -> tuple[str, ...]:
        """Return an array of strings, sorted and without duplicates."""
        values = self.array(key, limit)
        if any(type(value) is not str for value in values) or values != sorted(set(values)):
            raise self.error(f"must have a sorted array of different strings in '{key}'")
        return tuple(values)

    def u32(self, key: str, limit: int) -> U32Column:
        """Return a u32 column of at most ``limit`` elements (format §2.2)."""
        return decode_u32(self.column(key, 4, limit))

    def column(self, key: str, width: int, limit: int) -> bytes:
        """Return a column of at most ``limit`` elements of ``width`` bytes (format §2.2)."""
        value = self.raw(key)
        if len(value) % width or len(value) > width * limit:
            raise self.error(f"must have a column of at most {limit:,} elements in '{key}'")
        return value

    def expect(self, key: str, value: Any) -> None:  # noqa: ANN401
        """Raise CorruptError unless the field is exactly ``value``."""
        present = self._map[key]
        if type(present) is not type(value) or present != value:
            raise self.error(f"has {quote(present)} in '{key}' (expected {value!r})")


def refuse_newer(value: Any, highest: int, what: str) -> None:  # noqa: ANN401
    """Refuse a decoded document of a format that is not known here, before its fields are checked.

    Raises:
        PolicyError: its format is higher than ``highest``.
    """
    if type(value) is dict and type(value.get("format")) is int and value["format"] > highest:
        raise PolicyError(
            f"The {what} has format {value['format']}; this airgap reads format {highest}.",
            "A newer version of airgap is needed on this machine.",
        )


def decode_u32(column: bytes) -> U32Column:
    """Decode a u32 column of whole elements (format §2.2) into an array, not a list of objects."""
    values = array("I", column)
    if sys.byteorder == "little":
        values.byteswap()
    return values


def encode_u32(values: Sequence[int]) -> bytes:
    """Encode a u32 column (format §2.2)."""
    if len(values) == 1:  # as most files have
        return _U32.pack(values[0])
    return struct.pack(f">{len(values)}I", *values)
