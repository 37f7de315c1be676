"""The table of codecs: how a block is stored (format §5.2).

Adding one is adding a row here, its id in docs/format.md, and its vectors.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from airgap.codec import zstd
from airgap.errors import CorruptError, PolicyError

__all__ = ["PLANES", "RAW", "ZSTD", "decode", "encode"]

RAW: Final = 0
ZSTD: Final = 1
PLANES: Final = 2


def encode(plain: bytes, width: int = 0) -> tuple[int, bytes]:
    """Store a block with the codec that suits it; raw where nothing is gained.

    Args:
        plain: the block.
        width: of its floating-point numbers in bytes (2, 4 or 8), or 0 if it has none.

    Returns:
        The codec's id and the stored bytes, never longer than ``plain``.
    """
    if width:
        from airgap.codec import planes  # noqa: PLC0415  (numpy is slow to import)

        codec, stored = PLANES, planes.encode(plain, width)
    else:
        codec, stored = ZSTD, zstd.encode(plain)
    return (codec, stored) if len(stored) < len(plain) else (RAW, plain)


def decode(codec: int, stored: bytes, plain_length: int) -> bytes:
    """Return the ``plain_length`` plain bytes of a block.

    Raises:
        CorruptError: the stored bytes do not decode to exactly that length.
        PolicyError: the codec is unknown to this version.
    """
    row = _DECODERS.get(codec)
    if row is None:
        raise PolicyError(
            f"The bundle uses codec {codec}, which this airgap does not know.",
            "Install a newer airgap on this side.",
        )
    return row(stored, plain_length)


def _raw(stored: bytes, plain_length: int) -> bytes:
    if len(stored) != plain_length:
        raise CorruptError(
            f"A raw block has {len(stored)} bytes, not {plain_length}.",
            "Ask the sender to export the bundle again.",
        )
    return stored


def _planes(stored: bytes, plain_length: int) -> bytes:
    from airgap.codec import planes  # noqa: PLC0415  (numpy is slow to import)

    return planes.decode(stored, plain_length)


_DECODERS: Final[Mapping[int, Callable[[bytes, int], bytes]]] = MappingProxyType(
    {RAW: _raw, ZSTD: zstd.decode, PLANES: _planes}
)
