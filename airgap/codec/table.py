"""The table of codecs: how a block is stored (format §5.2).

Adding one is adding a row here, its id in docs/format.md, and its vectors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from airgap.codec import zstd
from airgap.errors import CorruptError, PolicyError

__all__ = ["RAW", "ZSTD", "Codec", "decode", "encode"]

RAW: Final = 0
ZSTD: Final = 1


@dataclass(frozen=True, slots=True)
class Codec:
    """One row: ``decode`` takes stored bytes and the plain length, and returns exactly that."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes, int], bytes]


def encode(plain: bytes) -> tuple[int, bytes]:
    """Store a block with the codec that suits it; raw where nothing is gained.

    Returns:
        The codec's id and the stored bytes, never longer than ``plain``.
    """
    stored = zstd.encode(plain)
    if len(stored) < len(plain):
        return ZSTD, stored
    return RAW, plain


def decode(codec: int, stored: bytes, plain_length: int) -> bytes:
    """Return the ``plain_length`` plain bytes of a block.

    Raises:
        CorruptError: the stored bytes do not decode to exactly that length.
        PolicyError: the codec is unknown to this version.
    """
    row = _TABLE.get(codec)
    if row is None:
        raise PolicyError(
            f"The bundle uses codec {codec}, which this airgap does not know.",
            "Install a newer airgap on this side.",
        )
    return row.decode(stored, plain_length)


def _raw_encode(plain: bytes) -> bytes:
    return plain


def _raw_decode(stored: bytes, plain_length: int) -> bytes:
    if len(stored) != plain_length:
        raise CorruptError(
            f"A raw block has {len(stored)} bytes, not {plain_length}.",
            "Ask the sender to export the bundle again.",
        )
    return stored


_TABLE: Final[Mapping[int, Codec]] = MappingProxyType(
    {
        RAW: Codec("raw", _raw_encode, _raw_decode),
        ZSTD: Codec("zstd", zstd.encode, zstd.decode),
    }
)
