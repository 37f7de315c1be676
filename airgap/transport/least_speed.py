"""The least speed of a server: one that sends a byte a second would keep a command for months.

A time-out alone does not help: each byte starts it again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from airgap.errors import TransportError

__all__ = ["LEAST_BYTES_PER_SECOND", "WINDOW_SECONDS", "LeastSpeed"]

LEAST_BYTES_PER_SECOND: Final = 1000
WINDOW_SECONDS: Final = 300.0


class LeastSpeed:
    """Measures how fast a server sends or takes bytes, over each five minutes of waiting for it.

    Only the time within ``waiting`` counts: what the bytes are used for may take as long as it
    likes.
    """

    def __init__(self, location: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to measure; the location is for messages."""
        self._location = location
        self._clock = clock
        self._bytes = 0
        self._seconds = 0.0

    def restart(self) -> None:
        """Begin again, for another request."""
        self._bytes, self._seconds = 0, 0.0

    def count(self, size: int, seconds: float = 0.0) -> None:
        """Count bytes that the server sent or took, and seconds of waiting outside of ``waiting``.

        Raises:
            TransportError: it has been too slow in the last five minutes. It is not transient: each
                new attempt would take five minutes as well.
        """
        self._bytes += size
        self._seconds += seconds
        if self._seconds < WINDOW_SECONDS:
            return
        if self._bytes < LEAST_BYTES_PER_SECOND * self._seconds:
            raise TransportError(
                f"{self._location} is too slow: {self._bytes:,} bytes in {self._seconds:.0f}"
                f" seconds (expected at least {LEAST_BYTES_PER_SECOND:,} per second).",
                "Run the same command again when the connection is better: it resumes.",
            )
        self.restart()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Measure the time in which the server is waited for."""
        begun = self._clock()
        try:
            yield
        finally:
            self._seconds += self._clock() - begun
