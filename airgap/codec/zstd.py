"""Codec 1: exactly one zstd frame (format §5.2)."""

from typing import Final

import zstandard

from airgap.codec.buffer import Buffer
from airgap.errors import CorruptError
from airgap.format import limits

__all__ = ["decode", "encode", "encode_entropy"]

ENTROPY_ONLY: Final = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    min_match=7,
    hash_log=6,
    write_content_size=True,
    write_checksum=False,
)
"""Codes single bytes and finds next to no matches: numbers have none."""


def encode(plain: Buffer, level: int) -> bytes:
    """Compress into one frame with its content size and without a checksum."""
    return zstandard.ZstdCompressor(
        level=level, write_content_size=True, write_checksum=False
    ).compress(plain)


def encode_entropy(plain: Buffer) -> bytes:
    """Compress into such a frame what is known to be numbers, quickly."""
    return zstandard.ZstdCompressor(compression_params=ENTROPY_ONLY).compress(plain)


def decode(stored: Buffer, plain_length: int) -> bytes:
    """Decompress one frame of exactly ``plain_length`` bytes.

    Raises:
        CorruptError: the frame declares another size or a larger window than allowed, ends
            early, or something follows it. No more than ``plain_length`` bytes are allocated.
    """
    try:
        parameters = zstandard.get_frame_parameters(stored)
        if parameters.content_size != plain_length:
            raise _broken(f"declares {parameters.content_size} bytes, not {plain_length}")
        if parameters.window_size > limits.WINDOW_BYTES or parameters.dict_id:
            raise _broken("needs a larger window or a dictionary")
        # The size in the header bounds the buffer, so it is compared first. By default
        # decompress() passes over what follows the frame.
        decompressor = zstandard.ZstdDecompressor(max_window_size=limits.WINDOW_BYTES)
        plain: bytes = decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _broken("is not exactly one zstd frame") from error
    if len(plain) != plain_length:
        raise _broken(f"holds {len(plain)} bytes, not {plain_length}")
    return plain


def _broken(why: str) -> CorruptError:
    return CorruptError(f"A compressed block {why}.", "Ask the sender to export the bundle again.")
