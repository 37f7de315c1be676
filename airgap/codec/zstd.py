"""Codec 1: exactly one zstd frame (format §5.2)."""

from typing import Final

import zstandard

from airgap.codec.buffer import Buffer
from airgap.errors import CorruptError
from airgap.format import limits

__all__ = ["LIBRARY", "decode", "encode", "encode_entropy"]

LIBRARY: Final = f"{zstandard.__version__} {'.'.join(map(str, zstandard.ZSTD_VERSION))}"
"""Another version may store the same chunks in other bytes."""
ENTROPY_ONLY: Final = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    min_match=7,
    hash_log=6,
    write_content_size=True,
    write_checksum=False,
)
"""Entropy coding with hardly any search for matches: numbers have none."""


def encode(plain: Buffer, level: int) -> bytes:
    """Compress into one frame with content size and without checksum."""
    return zstandard.ZstdCompressor(
        level=level, write_content_size=True, write_checksum=False
    ).compress(plain)


def encode_entropy(plain: Buffer) -> bytes:
    """Compress numbers, quickly, into a frame like that of ``encode``."""
    return zstandard.ZstdCompressor(compression_params=ENTROPY_ONLY).compress(plain)


def decode(stored: Buffer, plain_length: int) -> bytes:
    """Decompress one frame of exactly ``plain_length`` bytes.

    Raises:
        CorruptError: the frame declares another size or too large a window, ends early, or has
            bytes after it. No more than ``plain_length`` bytes are allocated.
    """
    try:
        parameters = zstandard.get_frame_parameters(stored)
        if parameters.content_size != plain_length:
            raise _corrupt_error(
                f"declares {parameters.content_size} bytes (expected {plain_length})"
            )
        if parameters.window_size > limits.WINDOW_BYTES or parameters.dict_id:
            raise _corrupt_error("needs a larger window or a dictionary")
        # decompress() allocates the size in the header, so it is compared first; and by default
        # it ignores bytes after the frame.
        decompressor = zstandard.ZstdDecompressor(max_window_size=limits.WINDOW_BYTES)
        plain: bytes = decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _corrupt_error("is not exactly one zstd frame") from error
    if len(plain) != plain_length:
        raise _corrupt_error(f"holds {len(plain)} bytes (expected {plain_length})")
    return plain


def _corrupt_error(problem: str) -> CorruptError:
    return CorruptError(
        f"A compressed block {problem}.", "Ask the sender to export the bundle again."
    )
