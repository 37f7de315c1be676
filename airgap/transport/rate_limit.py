"""A transport that sends and takes no more than so many bytes per second, with all its clones."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from airgap.transport.port import Pace, Sink, Stored, Transport

__all__ = ["LimitedTransport", "TokenBucket"]

_BURST_SECONDS: Final = 0.25


class TokenBucket:
    """A bucket that fills at a steady rate; whoever takes more than is in it waits.

    Shared by all connections, so that together they keep the rate.
    """

    def __init__(
        self,
        bytes_per_second: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Begin with a full bucket, which holds what flows in a quarter of a second."""
        self._rate = bytes_per_second
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._paid_until = float("-inf")

    def take(self, count: int) -> None:
        """Wait until ``count`` bytes more may pass."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - _BURST_SECONDS) + count / self._rate
            seconds = self._paid_until - now
        if seconds > 0:
            self._wait(seconds)


class LimitedTransport:
    """Fills ``Transport`` with another one whose content flows at a limited rate.

    What protocols and small files add on top is not counted, but for the files that are published.
    """

    def __init__(self, inner: Transport, rate: TokenBucket) -> None:
        """Wrap a transport."""
        self.place = inner.place
        self.capabilities = inner.capabilities
        self._inner = inner
        self._rate = rate

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        return self._inner.size(name)

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        return self._inner.list(folder, limit)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; reading late makes the server wait."""

        def take(piece: memoryview) -> None:
            self._rate.take(len(piece))
            sink(piece)

        return self._inner.get(name, take, offset, length)

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Upload a file; see ``Transport``."""

        def take(count: int) -> None:
            self._rate.take(count)
            if pace is not None:
                pace(count)

        return self._inner.put(name, source, size, part, take)

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file; see ``Transport``."""
        self._rate.take(len(data))
        return self._inner.publish(name, data, replace=replace)

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        self._inner.delete(name)

    def clone(self) -> "LimitedTransport":
        """Return another of the same place, which shares the rate."""
        return LimitedTransport(self._inner.clone(), self._rate)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()
