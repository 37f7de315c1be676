"""Sends and receives the bytes of one transfer.

Both functions are generators, so that what the caller does with each piece, and may raise, happens
outside the code that translates network errors.
"""

import socket
import ssl
from collections.abc import Generator
from typing import BinaryIO, Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import StorageError
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.sending import Upload

__all__ = ["receive", "send"]

_BLOCK_BYTES: Final = 256 * 1024  # ftplib's 8 KiB are half as fast


def receive(
    data: socket.socket, length: int | None, speed: LeastSpeed
) -> Generator[memoryview, None, bool]:
    """Yield what arrives, at most ``length`` bytes; what arrived before an error comes first.

    Returns:
        Whether the server ended the data; if not, there is more than was requested.

    Raises:
        TransportError: the server is too slow.
        OSError: the connection broke.
    """
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    left = length
    while left is None or left > 0:
        size = len(buffer) if left is None else min(len(buffer), left)
        got, error = _fill(data, buffer[:size], speed)
        if got:
            yield buffer[:got]
        if error:
            raise error
        if got < size:
            return True
        left = None if left is None else left - got
    got, error = _fill(data, buffer[:1], speed)
    return not got and error is None


def _fill(data: socket.socket, buffer: memoryview, speed: LeastSpeed) -> tuple[int, OSError | None]:
    """Read until the buffer is full or the data ends; TLS returns at most 16 KiB at a time.

    An end without TLS's close_notify counts as an end: the reply that follows, and then size and
    hash, show whether the data is complete.
    """
    filled = 0
    try:
        while filled < len(buffer):
            with speed.waiting():
                got = data.recv_into(buffer[filled:])
            if not got:
                break
            filled += got
            speed.count(got)
    except ssl.SSLEOFError:
        pass
    except OSError as error:
        return filled, error
    return filled, None


def send(upload: Upload, file: BinaryIO, offset: int, size: int) -> Generator[int]:
    """Send a file from ``offset`` to ``size``; yield the length of each piece before it is sent.

    At the end the server has acknowledged everything: its reply, or the end of TLS, can only come
    after that.

    Raises:
        StorageError: the file cannot be read, or ends before ``size``.
        TransportError: the server is too slow.
        OSError: the connection broke or stalled.
    """
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    with translate_errors(_name_of_file(file)):
        file.seek(offset)
    while offset < size:
        block = buffer[: min(len(buffer), size - offset)]
        with translate_errors(_name_of_file(file)):
            got = file.readinto(block)  # type: ignore[attr-defined]  # all of ours have it
        if got != len(block):
            raise _source_too_short(file)
        yield got
        upload.send(block)  # sendfile saves little, and costs a server on the same machine more
        offset += got
    upload.wait_until_acknowledged()


def _source_too_short(file: BinaryIO) -> StorageError:
    return StorageError(
        f"{_name_of_file(file)} was truncated while it was sent.", "Run the same command again."
    )


def _name_of_file(file: BinaryIO) -> str:
    return str(getattr(file, "name", "the data to send"))
