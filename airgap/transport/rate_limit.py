"""A transport whose content flows at a limited rate, shared by all its clones."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from airgap.transport.object_lock import ObjectLock
from airgap.transport.port import Pace, Sink, Stored, Transport

__all__ = ["LimitedTransport", "TokenBucket"]

_BURST_SECONDS: Final = 0.25


class TokenBucket:
    """A bucket that fills at a steady rate; a thread that takes more than is in it waits.

    All connections share one, so that together they keep the rate.
    """

    def __init__(
        self,
        bytes_per_second: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Begin with a full bucket, which holds a quarter of a second's bytes."""
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._paid_until = float("-inf")

    def take(self, count: int) -> None:
        """Wait until ``count`` more bytes may pass."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - _BURST_SECONDS)
            self._paid_until += count / self._bytes_per_second
            seconds = self._paid_until - now
        if seconds > 0:
            self._wait(seconds)


class LimitedTransport:
    """Fills ``Transport`` with another one, and takes what it carries from a bucket.

    Counted are the bytes of files, not what protocols add to them.
    """

    def __init__(self, inner: Transport, bucket: TokenBucket) -> None:
        """Wrap a transport."""
        self.location = inner.location
        self.capabilities = inner.capabilities
        self._inner = inner
        self._bucket = bucket

    @property
    def object_lock(self) -> ObjectLock | None:
        """Locks and versions; see ``Transport``."""
        return self._inner.object_lock

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        return self._inner.size(name)

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        return self._inner.list(folder, limit)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink; reading late makes the server wait."""

        def take(piece: memoryview) -> None:
            self._bucket.take(len(piece))
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
            self._bucket.take(count)
            if pace is not None:
                pace(count)

        return self._inner.put(name, source, size, part, take)

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file; see ``Transport``."""
        self._bucket.take(len(data))
        return self._inner.publish(name, data, replace=replace)

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        self._inner.delete(name)

    def clone(self) -> "LimitedTransport":
        """Return another of the same location, which shares the bucket."""
        return LimitedTransport(self._inner.clone(), self._bucket)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()
