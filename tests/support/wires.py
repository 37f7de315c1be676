"""Sockets whose other end is made of bytes: servers that never end, or send a few bytes a second.

They count what is taken of them, and how long they are waited for, on a clock of their own.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self
from unittest import mock

from airgap.transport.least_speed import LEAST_BYTES_PER_SECOND, WINDOW_SECONDS

__all__ = ["Clock", "Wire", "connecting", "make_wire"]

MOST_TAKEN: Final = 4 * 1024 * 1024
"""In bytes: more than any answer may have, of whatever server, with the limits of the readers."""
_PIECE_BYTES: Final = 64 * 1024
_SLOW_BYTES: Final = 40
_SLOW: Final = 0x80


@dataclass
class Clock:
    """A time in seconds that passes only while something is waited for."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Wire:
    """A socket whose other end has sent ``sent``, and then ends, or repeats ``again`` for ever."""

    sent: bytes
    again: bytes = b""
    clock: Clock = field(default_factory=Clock)
    most: int = MOST_TAKEN
    slow: bool = False
    """Whether a few bytes arrive at a time, each a second after the last."""
    patience: float = 2 * WINDOW_SECONDS
    """For how long an answer may be waited for, in seconds, beside what its bytes need."""
    taken: int = 0
    answered: int = 0
    """Bytes since the last request, and for how long they were waited for."""
    seconds: float = 0.0
    timeout: float | None = None
    family: int = socket.AF_INET
    descriptor: int = -1

    def recv(self, size: int) -> bytes:
        size = min(size, _SLOW_BYTES if self.slow else _PIECE_BYTES)
        self._wait()
        piece, self.sent = self.sent[:size], self.sent[size:]
        if not piece and self.again:
            piece = (self.again * (size // len(self.again) + 1))[:size]
        self.taken += len(piece)
        self.answered += len(piece)
        assert self.taken <= self.most, "an answer without end is read without end"
        return piece

    def _wait(self) -> None:
        if not self.slow:
            return
        if self.timeout is not None and self.timeout < 1:
            self.clock.now += self.timeout
            raise TimeoutError
        self.clock.now += 1
        self.seconds += 1
        spare = self.answered / LEAST_BYTES_PER_SECOND + self.patience
        assert self.seconds <= spare, "a server that is far too slow is waited for"

    def recv_into(self, buffer: memoryview) -> int:
        piece = self.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def send(self, data: memoryview) -> int:
        self.answered, self.seconds = 0, 0.0
        return len(data)

    def sendall(self, data: bytes) -> None:
        self.send(memoryview(data))

    def settimeout(self, seconds: float | None) -> None:
        self.timeout = seconds

    def fileno(self) -> int:
        """Return a descriptor on which something has always arrived."""
        if self.descriptor < 0:
            self.descriptor = os.open(os.devnull, os.O_RDONLY)
        return self.descriptor

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 9

    def ignore(self, *_: object) -> None:
        """Do nothing."""

    setsockopt = shutdown = ignore

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_wire(raw: bytes, flags: bytes, clock: Clock, most: int = MOST_TAKEN) -> Wire:
    """Make a socket of what is sent and a byte that tells how it ends.

    Its lower bits count the last bytes that are sent again and again; the highest makes it slow.
    """
    flag = flags[0] if flags else 0
    count = flag % _SLOW
    again = raw[-count:] if count else b""
    return Wire(raw, again, clock, most, slow=flag >= _SLOW)


@contextmanager
def connecting(wires: Iterator[Wire], address: tuple[str, int | None]) -> Iterator[None]:
    """Let each connection be the next of some sockets; nothing but one address is connected to."""

    def connect(to: tuple[str, int], *_: object, **__: object) -> Wire:
        host, port = address
        assert to[0] == host, f"another host is connected to: {to}"
        assert port in (None, to[1]), f"another port is connected to: {to}"
        try:
            return next(wires)
        except StopIteration:
            raise ConnectionRefusedError from None

    with mock.patch.object(socket, "create_connection", connect):
        yield
