"""Shards: the parts of an archive that several machines check side by side (format §36.1)."""

import re
from dataclasses import dataclass
from typing import Final

from airgap.format import limits

__all__ = ["WHOLE", "Shard", "find_number", "parse_shard"]

_TEXT: Final = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, from 1 on."""

    number: int
    count: int

    def __str__(self) -> str:
        """Write it as in a result: ``3/64``."""
        return f"{self.number}/{self.count}"

    def takes(self, digest: bytes) -> bool:
        """Tell whether what this SHA-256 names falls into this shard: into exactly one of each."""
        return find_number(digest, self.count) == self.number


def find_number(digest: bytes, count: int) -> int:
    """Return the number of the shard, of so many, that this SHA-256 falls into."""
    return int.from_bytes(digest[:8]) % count + 1


WHOLE: Final = Shard(1, 1)
"""All of an archive."""


def parse_shard(text: str) -> Shard:
    """Read ``3/64``.

    Raises:
        ValueError: it is not a shard.
    """
    match = _TEXT.fullmatch(text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count <= limits.SHARDS:
        raise ValueError(text)
    return Shard(number, count)
