"""A single ``.airgap`` file on a server: read as a stream, written through a local file."""

import hashlib
import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, cast

from airgap.disk.digests import digest_file
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, CorruptError
from airgap.transport.connections import StoppedError
from airgap.transport.port import Pace, Transport

__all__ = ["open_stream", "send_file"]

_PIECE_BYTES: Final = 1024 * 1024
_PIECES_AHEAD: Final = 32  # 8 MiB of the 256 KiB that most transports give at once
_PATIENCE_SECONDS: Final = 2.0


def open_stream(transport: Transport, name: str) -> BinaryIO:
    """Return a file's bytes as a stream that only reads; closing it closes the transport.

    Raises:
        MissingError, TransportError: by ``read``, when it is missing or the download breaks off.
    """
    return cast("BinaryIO", _Stream(transport, name))


def send_file(transport: Transport, name: str, source: Path, pace: Pace | None = None) -> bool:
    """Put a local file there under a name of its own; return False if exactly it is there.

    Another file of that name is replaced. Where the two have the same size, the old one is removed
    before the new one has its name.

    Raises:
        TransportError, StorageError: it cannot be sent.
    """
    with translate_errors(source):
        size = source.stat().st_size
        digest = digest_file(source)
    if transport.size(name) == size:
        if _is_there(transport, name, size, digest):
            return False
        transport.delete(name)
    transport.put(name, source, size, f"{name}.{digest.hex()[:16]}.part", pace)
    return True


def _is_there(transport: Transport, name: str, size: int, digest: bytes) -> bool:
    found = hashlib.sha256()
    with suppress(CorruptError):
        transport.get(name, found.update, 0, size + 1)
    return found.digest() == digest


class _Stream:
    """Fetches ahead in a thread, no further than a bounded number of pieces."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self._name = name
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(_PIECES_AHEAD)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._rest = memoryview(b"")
        self._over = False

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes, or fewer at the end."""
        self._start()
        parts: list[memoryview] = []
        while size and (piece := self._take(size)):
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)

    def readinto(self, view: memoryview) -> int:
        """Fill a view, or its beginning at the end."""
        self._start()
        filled = 0
        while filled < len(view) and (piece := self._take(len(view) - filled)):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def seekable(self) -> bool:
        """Tell that it cannot seek: skipped bytes have to be fetched all the same."""
        return False

    def close(self) -> None:
        """Stop fetching, and close the transport."""
        self._stopped.set()
        with suppress(queue.Empty):
            while True:
                self._pieces.get_nowait()
        if self._thread is not None:
            self._thread.join(_PATIENCE_SECONDS)
        with suppress(AirgapError, OSError):
            self._transport.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._fetch, name="airgap-stream", daemon=True)
            self._thread.start()

    def _take(self, most: int) -> memoryview:
        """Return some of the next bytes; none at the end."""
        while not self._rest and not self._over:
            found = self._pieces.get()
            if isinstance(found, BaseException):
                self._over = True
                raise found
            self._rest, self._over = memoryview(found), not found
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece

    def _fetch(self) -> None:
        try:
            size = self._transport.size(self._name)
            self._transport.get(self._name, self._put, 0, size)
            self._put(memoryview(b""))
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001  (``read`` raises it)
            with suppress(StoppedError):
                self._give(error)

    def _put(self, piece: memoryview) -> None:
        self._give(bytes(piece))

    def _give(self, piece: bytes | BaseException) -> None:
        while True:
            if self._stopped.is_set():
                raise StoppedError
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=0.2)
                return
