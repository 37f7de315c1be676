"""The table of codecs, which store blocks (format §5.2).

To add a codec, add a row here, its id in docs/format.md, and its vectors.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from airgap.codec import zstd
from airgap.codec.buffer import Buffer
from airgap.errors import CorruptError, PolicyError
from airgap.format import limits

__all__ = [
    "DIFFERENCE",
    "PLANES",
    "RAW",
    "ZSTD",
    "Preset",
    "decode",
    "encode",
    "encode_difference",
]

RAW: Final = 0
ZSTD: Final = 1
PLANES: Final = 2
DIFFERENCE: Final = 3

Preset = Literal["none", "fast", "default", "small"]
"""How much time an export spends on compression."""

_LEVELS: Final[Mapping[Preset, int]] = MappingProxyType({"fast": 1, "default": 3, "small": 15})
_MIN_GUESS_BYTES: Final = 128 * limits.KIB
_MAX_ENTROPY_RATIO: Final = 2
"""One-byte numbers that shrink by this factor are not plain numbers: matches will help, too."""


def encode(plain: bytes, width: int = 0, preset: Preset = "default") -> tuple[int, bytes]:
    """Encode a block with the codec that suits it; raw if that gains nothing.

    Args:
        plain: the plain bytes of the block.
        width: width of its numbers in bytes: 2, 4 or 8 (floating point), 1 (any), 0 (unknown).
        preset: the trade of time for size; ``none`` stores every block raw.

    Returns:
        The codec's id and the stored bytes, never longer than ``plain``.
    """
    if preset == "none":
        return RAW, plain
    width = width or _guess_width(plain)
    if width > 1:
        from airgap.codec import planes

        codec, stored = PLANES, planes.encode(plain, width)
    else:
        codec, stored = ZSTD, _compress(plain, width, _LEVELS[preset])
    return (codec, stored) if len(stored) < len(plain) else (RAW, plain)


def encode_difference(plain: bytes, base: bytes, width: int) -> bytes:
    """Encode a chunk as its difference from a base chunk of the same length (format §5.4)."""
    from airgap.codec import difference

    return difference.encode(plain, base, width or _guess_width(plain) or 1)


def _guess_width(plain: bytes) -> int:
    if len(plain) < _MIN_GUESS_BYTES:
        return 0
    from airgap.codec import guess

    return guess.guess_width(plain)


def _compress(plain: bytes, width: int, level: int) -> bytes:
    if width:
        stored = zstd.encode_entropy(plain)
        if len(stored) * _MAX_ENTROPY_RATIO > len(plain):
            return stored
    return zstd.encode(plain, level)


def decode(codec: int, stored: Buffer, plain_length: int, base: bytes = b"") -> Buffer:
    """Decode a block; for the raw codec, return ``stored`` itself.

    Args:
        codec: the codec's id.
        stored: the stored bytes.
        plain_length: the length of the plain bytes.
        base: for a difference, the plain bytes of the base chunk.

    Raises:
        CorruptError: the stored bytes do not decode to exactly that length.
        PolicyError: the codec is unknown to this version.
    """
    if codec == RAW:
        return _check_raw(stored, plain_length)
    if codec == DIFFERENCE:
        from airgap.codec import difference

        return difference.decode(stored, base, plain_length)
    decoder = _DECODERS.get(codec)
    if decoder is None:
        raise PolicyError(
            f"The bundle uses codec {codec}, which this version of airgap does not support.",
            "Install a newer airgap on this side.",
        )
    return decoder(stored, plain_length)


def _check_raw(stored: Buffer, plain_length: int) -> Buffer:
    if len(stored) != plain_length:
        raise CorruptError(
            f"A raw block has {len(stored)} bytes (expected {plain_length}).",
            "Ask the sender to export the bundle again.",
        )
    return stored


def _decode_planes(stored: Buffer, plain_length: int) -> Buffer:
    from airgap.codec import planes

    return planes.decode(stored, plain_length)


_DECODERS: Final[Mapping[int, Callable[[Buffer, int], Buffer]]] = MappingProxyType(
    {ZSTD: zstd.decode, PLANES: _decode_planes}
)
