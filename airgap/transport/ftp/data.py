"""The bytes of one transfer, as fast as the socket takes them.

Both are generators, so that what the caller does with each piece, and may raise, happens outside of
the code that explains what went wrong on the wire.
"""

import socket
import ssl
from collections.abc import Generator
from typing import BinaryIO, Final

from airgap.disk.os_errors import translate_errors
from airgap.errors import StorageError

__all__ = ["receive", "send"]

_BLOCK_BYTES: Final = 256 * 1024  # ftplib's own 8 KiB are half as fast


def receive(data: socket.socket, length: int | None) -> Generator[memoryview, None, bool]:
    """Yield what arrives, ``length`` bytes at most; what came before an error is yielded first.

    Returns:
        Whether the server ended the data; if not, there is more than was asked for.
    """
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    left = length
    while left is None or left > 0:
        want = len(buffer) if left is None else min(len(buffer), left)
        got, error = _fill(data, buffer[:want])
        if got:
            yield buffer[:got]
        if error:
            raise error
        if got < want:
            return True
        left = None if left is None else left - got
    got, error = _fill(data, buffer[:1])
    return not got and error is None


def _fill(data: socket.socket, buffer: memoryview) -> tuple[int, OSError | None]:
    """Read until the buffer is full or the data ends; TLS gives 16 KiB at most at a time.

    An end without TLS's own goodbye is taken for an end: the reply that follows, and then the size
    and the hash, say whether it was one.
    """
    filled = 0
    try:
        while filled < len(buffer) and (got := data.recv_into(buffer[filled:])):
            filled += got
    except ssl.SSLEOFError:
        pass
    except OSError as error:
        return filled, error
    return filled, None


def send(data: socket.socket, file: BinaryIO, begun: int, size: int) -> Generator[int]:
    """Send a file from ``begun`` to ``size``; yield the length of each piece before it is sent.

    Raises:
        StorageError: the file cannot be read, or ends before ``size``.
        OSError: the connection broke.
    """
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    with translate_errors(_name_of_file(file)):
        file.seek(begun)
    while begun < size:
        block = buffer[: min(len(buffer), size - begun)]
        with translate_errors(_name_of_file(file)):
            got = file.readinto(block)  # type: ignore[attr-defined]  # all of ours have it
        if got != len(block):
            raise _source_too_short(file)
        yield got
        data.sendall(block)  # sendfile saves us little, and costs a server next to us more
        begun += got


def _source_too_short(file: BinaryIO) -> StorageError:
    return StorageError(
        f"{_name_of_file(file)} became shorter while it was sent.", "Run the same command again."
    )


def _name_of_file(file: BinaryIO) -> str:
    return str(getattr(file, "name", "what is to be sent"))
