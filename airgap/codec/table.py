"""The table of codecs: how a block is stored (format §5.2).

Adding one is adding a row here, its id in docs/format.md, and its vectors.
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
"""How much time an exporter gives to size."""

_LEVELS: Final[Mapping[Preset, int]] = MappingProxyType({"fast": 1, "default": 3, "small": 15})
_GUESS_FROM: Final = 128 * limits.KIB
_PACKED: Final = 2
"""Numbers of one byte that get this many times smaller are not what they were taken for."""


def encode(plain: bytes, width: int = 0, preset: Preset = "default") -> tuple[int, bytes]:
    """Store a block with the codec that suits it; raw where nothing is gained.

    Args:
        plain: the block.
        width: of its numbers in bytes: 2, 4 or 8 (floating point), 1 (anything), 0 (not known).
        preset: with ``none``, everything is stored as it is.

    Returns:
        The codec's id and the stored bytes, never longer than ``plain``.
    """
    if preset == "none":
        return RAW, plain
    width = width or _guess(plain)
    if width > 1:
        from airgap.codec import planes

        codec, stored = PLANES, planes.encode(plain, width)
    else:
        codec, stored = ZSTD, _zstd(plain, width, _LEVELS[preset])
    return (codec, stored) if len(stored) < len(plain) else (RAW, plain)


def encode_difference(plain: bytes, base: bytes, width: int) -> bytes:
    """Store what changed from a base chunk of the same length (format §5.4)."""
    from airgap.codec import difference

    return difference.encode(plain, base, width or _guess(plain) or 1)


def _guess(plain: bytes) -> int:
    if len(plain) < _GUESS_FROM:
        return 0
    from airgap.codec import guess

    return guess.guess_width(plain)


def _zstd(plain: bytes, width: int, level: int) -> bytes:
    if width:
        stored = zstd.encode_entropy(plain)
        if len(stored) * _PACKED > len(plain):
            return stored
    return zstd.encode(plain, level)


def decode(codec: int, stored: Buffer, plain_length: int, base: bytes = b"") -> Buffer:
    """Return the ``plain_length`` plain bytes of a block; of a raw one, what was given.

    Args:
        codec: its id.
        stored: the stored bytes.
        plain_length: of the block.
        base: the plain bytes of the base chunk, for a difference.

    Raises:
        CorruptError: the stored bytes do not decode to exactly that length.
        PolicyError: the codec is unknown to this version.
    """
    if codec == RAW:
        return _raw(stored, plain_length)
    if codec == DIFFERENCE:
        from airgap.codec import difference

        return difference.decode(stored, base, plain_length)
    row = _DECODERS.get(codec)
    if row is None:
        raise PolicyError(
            f"The bundle uses codec {codec}, which this airgap does not know.",
            "Install a newer airgap on this side.",
        )
    return row(stored, plain_length)


def _raw(stored: Buffer, plain_length: int) -> Buffer:
    if len(stored) != plain_length:
        raise CorruptError(
            f"A raw block has {len(stored)} bytes, not {plain_length}.",
            "Ask the sender to export the bundle again.",
        )
    return stored


def _planes(stored: Buffer, plain_length: int) -> Buffer:
    from airgap.codec import planes

    return planes.decode(stored, plain_length)


_DECODERS: Final[Mapping[int, Callable[[Buffer, int], Buffer]]] = MappingProxyType(
    {ZSTD: zstd.decode, PLANES: _planes}
)
