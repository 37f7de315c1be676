"""Sends over a socket, and measures what the other end has acknowledged.

A system takes megabytes into its send queue at once, for which a slow line needs minutes. Until the
queue is empty, neither a send that waits nor a missing reply means that nothing goes out: only a
number of unacknowledged bytes that stays the same does. Linux reports that number. Where a system
does not, what it has taken counts as acknowledged.
"""

import errno
import os
import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Final

from airgap.disk.descriptors import count_unacknowledged
from airgap.transport.least_speed import LeastSpeed

__all__ = ["LOOK_SECONDS", "Line", "SentBytes", "Upload"]

LOOK_SECONDS: Final = 1.0
"""How often to look at the queue while waiting."""

_SEND_BYTES: Final = 1024 * 1024
_RECORD_BYTES: Final = 16 * 1024  # of TLS, which does not say how much of several ones it has sent
_FIRST_PAUSE_SECONDS: Final = 0.001


class Line:
    """A connected socket, its send queue, and the time."""

    def __init__(self, sock: socket.socket) -> None:
        """Take a socket, plain or under TLS; it stays the caller's."""
        self._sock = sock
        self._most = _RECORD_BYTES if isinstance(sock, ssl.SSLSocket) else _SEND_BYTES

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def send(self, data: memoryview, seconds: float) -> int:
        """Send some of the bytes, and return how many.

        Raises:
            TimeoutError: none can be sent within these seconds; TLS demands the same bytes again.
            OSError: the connection broke.
        """
        self._sock.settimeout(seconds)
        return self._sock.send(data[: self._most])

    def unacknowledged(self) -> int:
        """Return how many bytes the other end has not acknowledged; 0 if the system says none."""
        with suppress(OSError, ValueError):  # another thread may have closed it
            return count_unacknowledged(self._sock.fileno())
        return 0

    def wait(self, seconds: float) -> None:
        """Sleep; raise OSError as soon as the connection breaks."""
        poll = select.poll()
        poll.register(self._sock, 0)  # errors are reported always
        if poll.poll(seconds * 1000):
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
            raise OSError(number, os.strerror(number))


class SentBytes:
    """Counts the bytes that were sent over one line, and those that were acknowledged.

    Under TLS the queue is longer than the plain bytes in it: the count is too low until it is
    empty.
    """

    def __init__(self, line: Line) -> None:
        """Begin with none."""
        self._line = line
        self.total = 0
        self.acknowledged = 0

    def look(self) -> int:
        """Return how many bytes were acknowledged since the last look."""
        if self.acknowledged == self.total:
            return 0
        progress = max(0, self.total - self._line.unacknowledged() - self.acknowledged)
        self.acknowledged += progress
        return progress


class Upload:
    """Sends as long as the other end acknowledges bytes, fast enough."""

    def __init__(self, line: Line, speed: LeastSpeed, stall: float) -> None:
        """Begin; ``stall`` is how many seconds may pass without progress."""
        self._line = line
        self._speed = speed
        self._stall = stall
        self._sent = SentBytes(line)
        self._silent = 0.0

    def restart(self) -> None:
        """Begin to measure again, for another request."""
        self._speed.restart()
        self._silent = 0.0

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it.

        Raises:
            TimeoutError: the other end has acknowledged nothing for too long.
            TransportError: it is too slow.
            OSError: the connection broke.
        """
        left = memoryview(data)
        while left:
            begun = self._line.now()
            left = self._send_for_a_while(left, begun + min(LOOK_SECONDS, self._stall))
            self.look(self._line.now() - begun, blocked=bool(left))

    def look(self, seconds: float, *, blocked: bool = False) -> bool:
        """Count ``seconds`` of waiting; return whether everything sent was acknowledged.

        ``blocked`` says that more could not be sent in that time.

        Raises:
            TimeoutError, TransportError: as ``send``.
        """
        if self._sent.acknowledged == self._sent.total and not blocked:
            return True
        progress = self._sent.look()
        self._silent = 0.0 if progress else self._silent + seconds
        if self._silent >= self._stall:
            raise TimeoutError
        self._speed.count(progress, seconds)
        return self._sent.acknowledged == self._sent.total

    def wait_until_acknowledged(self) -> None:
        """Wait until the other end has acknowledged everything; raises as ``send``."""
        pause = seconds = 0.0
        while not self.look(seconds):
            pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), LOOK_SECONDS)
            begun = self._line.now()
            self._line.wait(pause)
            seconds = self._line.now() - begun

    def _send_for_a_while(self, data: memoryview, end: float) -> memoryview:
        """Send until the time has come, and return what is left."""
        with suppress(TimeoutError):
            while data and (seconds := end - self._line.now()) > 0:
                sent = self._line.send(data, seconds)
                self._sent.total += sent
                data = data[sent:]
        return data
