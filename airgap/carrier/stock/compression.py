"""One compressed stream, decoded a bounded piece at a time, with nothing after it (format §10)."""

import bz2
import lzma
import zlib
from typing import BinaryIO, Final, Literal, Protocol

from airgap.disk.os_errors import storage_error
from airgap.errors import CorruptError
from airgap.format import limits

__all__ = ["Compressed", "Compression", "Decompressed", "compress"]

Compression = Literal["tar", "gz", "xz", "bz2"]

_PIECE: Final = 256 * limits.KIB
_GZIP: Final = 16 + zlib.MAX_WBITS
# Stock BentoML's own xz (preset 6) takes a CPU second per MiB of weights, which hardly shrink.
_XZ_PRESET: Final = 1


class Decompressed:
    """Reads what a compressed stream holds; ``tar`` means that it is not compressed."""

    def __init__(self, stream: BinaryIO, compression: Compression, location: str) -> None:
        """Take an open stream, which is read from where it stands."""
        self._stream = stream
        self._location = location
        self._decoder = _decoder(compression)

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes, or fewer at the end.

        Raises:
            CorruptError: the stream is damaged, cut off, or followed by something.
            StorageError: it cannot be read.
        """
        parts: list[bytes] = []
        while size:
            part = self._some(min(size, _PIECE))
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, limit: int) -> bytes:
        """Return 1 to ``limit`` bytes, or none at the end."""
        if self._decoder is None:
            return self._raw(limit)
        while not self._decoder.eof:
            fresh = self._raw(_PIECE) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not fresh:
                raise self._wrong("ends too early")
            try:
                part = self._decoder.decompress(fresh, limit)
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise self._wrong(f"is damaged ({error})") from error
            if part:
                return part
        if self._decoder.unused_data or self._raw(1):
            raise self._wrong("goes on after its end")
        return b""

    def _raw(self, limit: int) -> bytes:
        try:
            return self._stream.read(limit)
        except OSError as error:
            raise storage_error(error, self._location) from error

    def _wrong(self, why: str) -> CorruptError:
        return CorruptError(f"{self._location} {why}.", "Copy it from its source again.")


def compress(data: bytes, compression: Compression) -> bytes:
    """Return bytes as ``Compressed`` writes them."""
    encoder = _encoder(compression)
    return encoder.compress(data) + encoder.flush() if encoder else data


class Compressed:
    """Writes a compressed stream: the same bytes for the same input, without time or name."""

    def __init__(self, stream: BinaryIO, compression: Compression) -> None:
        """Take an open stream; it is not closed."""
        self._stream = stream
        self._encoder = _encoder(compression)

    def write(self, data: bytes) -> None:
        """Append bytes. Raises OSError if the disk refused."""
        self._stream.write(self._encoder.compress(data) if self._encoder else data)

    def finish(self) -> None:
        """Write what is held back."""
        if self._encoder:
            self._stream.write(self._encoder.flush())


class _Decoder(Protocol):
    """What the decoders of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Gzip:
    """A gzip decoder with the methods of the other two."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_GZIP)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


def _decoder(compression: Compression) -> _Decoder | None:
    match compression:
        case "gz":
            return _Gzip()
        case "bz2":
            return bz2.BZ2Decompressor()
        case "xz":
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, limits.XZ_MEMORY_BYTES)
        case "tar":
            return None


def _encoder(compression: Compression) -> _Encoder | None:
    match compression:
        case "gz":
            return zlib.compressobj(wbits=_GZIP)
        case "bz2":
            return bz2.BZ2Compressor()
        case "xz":
            return lzma.LZMACompressor(lzma.FORMAT_XZ, preset=_XZ_PRESET)
        case "tar":
            return None
