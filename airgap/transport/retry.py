"""A transport that retries after a broken connection.

After each ``TransientError`` it waits, reconnects and resumes. The pauses grow, and a random share
spreads them, so that many clients do not come back at the same moment. Progress beyond the furthest
point so far resets the count, unless it was slower than the least speed: a connection over which
nothing moves is given up, and so is a server that sends a byte and hangs up. What came in a try
that ended in a protocol error is not progress. All tries of one file together have a limit in time,
which grows with its bytes.
"""

import gc
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, cast

from airgap.errors import AirgapError, TransportError
from airgap.transport.least_speed import LEAST_BYTES_PER_SECOND
from airgap.transport.names import name_part
from airgap.transport.object_lock import (
    LockMode,
    LockSettings,
    ObjectLock,
    ObjectRetention,
    Version,
    VersionPage,
)
from airgap.transport.port import (
    Pace,
    ProtocolError,
    Sink,
    Stored,
    TransientError,
    Transport,
)

__all__ = ["RetryPolicy", "RetryingTransport"]

T = TypeVar("T")
_FIRST_CONTACT_TRIES: Final = 3  # a host never reached is more often mistyped than down
_BYTES_PER_SECOND: Final = 2 * LEAST_BYTES_PER_SECOND  # of all tries of one file, on average


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How many tries in a row may fail without progress, and how long to pause between them."""

    tries: int = 10
    first_pause: float = 0.5
    """Seconds; each pause is up to twice as long as the one before."""
    longest_pause: float = 60.0
    total: float = 3600.0
    """Seconds for all tries of one file, and one more for every 2,000 bytes of it: no new try
    follows afterwards."""
    wait: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    note: Callable[[str], object] = lambda _: None
    """Called, in the thread where it happens, with what broke and when the next try follows."""

    def choose_pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures: half of the longest up to all."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(failures - 1, 30))
        return longest * (1 + self.jitter()) / 2


@dataclass(slots=True)
class _Tries:
    """The tries of one call so far: failures, time and progress. In seconds and bytes."""

    begun: float
    failures: int = 0
    """In a row without progress."""
    seconds: float = 0.0
    """Of all of them."""
    furthest: int = 0
    """The size after the last progress."""
    _since: float = field(init=False)
    _size: int = 0
    _excluded: int = 0

    def __post_init__(self) -> None:
        self._since = self.begun

    def count_failure(self, size: int, now: float, error: TransientError) -> None:
        """Count a try that broke, after which ``size`` bytes are there."""
        self.failures += 1
        self.seconds = now - self.begun
        if isinstance(error, ProtocolError):
            self._excluded += max(0, size - self._size)
        self._size = size
        progress = size - self._excluded
        if progress > self.furthest + LEAST_BYTES_PER_SECOND * (now - self._since):
            self.failures, self.furthest, self._since = 1, progress, now


class RetryingTransport:
    """Fills ``Transport`` with another one; it never raises ``TransientError``."""

    def __init__(
        self, inner: Transport, policy: RetryPolicy, reached: "list[bool] | None" = None
    ) -> None:
        """Wrap a transport; clones share ``reached``: whether the server has ever answered."""
        self.location = inner.location
        self.capabilities = inner.capabilities
        self._inner = inner
        self._policy = policy
        self._reached = [False] if reached is None else reached

    @property
    def object_lock(self) -> ObjectLock | None:
        """Locks and versions, tried again like the rest; see ``Transport``."""
        return None if self._inner.object_lock is None else _RetryingLock(self)

    def retry_lock(self, act: Callable[[ObjectLock], T]) -> T:
        """Do something with the locks of the transport that is connected now, until it succeeds."""
        return self._retry(lambda: act(cast("ObjectLock", self._inner.object_lock)))

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        return self._retry(lambda: self._inner.size(name))

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        return self._retry(lambda: self._inner.list(folder, limit))

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink, each once; see ``Transport``.

        With a ``length``, an end before both that and the file's end counts as a broken connection,
        whatever the server says.
        """
        sent = 0

        def count(piece: memoryview) -> None:
            nonlocal sent
            self._reached[0] = True
            sink(piece)
            sent += len(piece)

        def attempt() -> None:
            left = None if length is None else length - sent
            if left == 0:
                return
            self._inner.get(name, count, offset + sent, left)
            if length is not None and sent < length:
                size = self._inner.size(name) or 0
                if size > offset + sent:
                    raise TransientError(
                        f"{self.location} ended {name} early and said that it was complete."
                    )

        self._retry(attempt, lambda: sent)
        return sent

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        """Upload a file; see ``Transport``. After a break it asks how much has arrived."""
        part_name = part or name_part(name)

        def count_stored() -> int:
            if self.capabilities.resumes_uploads:
                with suppress(AirgapError):
                    return self._inner.size(part_name) or 0
            return 0

        def before_block(count: int) -> None:
            self._reached[0] = True
            if pace:
                pace(count)

        return self._retry(
            lambda: self._inner.put(name, source, size, part, before_block), count_stored, size
        )

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file; see ``Transport``.

        A try that broke may have stored it all the same: the same bytes under the name are then
        our own.
        """
        broke = False

        def attempt() -> bool:
            nonlocal broke
            try:
                created = self._inner.publish(name, data, replace=replace)
            except TransientError:
                broke = True
                raise
            return created or (broke and self._holds(name, data))

        return self._retry(attempt)

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        self._retry(lambda: self._inner.delete(name))

    def clone(self) -> "RetryingTransport":
        """Return another of the same location, with its own connection."""
        return RetryingTransport(self._inner.clone(), self._policy, self._reached)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def _holds(self, name: str, data: bytes) -> bool:
        stored = bytearray()
        self._inner.get(name, stored.extend, 0, len(data) + 1)
        return stored == data

    def _retry(
        self, attempt: Callable[[], T], measure: Callable[[], int] = lambda: 0, size: int = 0
    ) -> T:
        """Try until it succeeds, too many tries in a row bring no progress, or the time is over.

        ``measure`` returns how many bytes are there by now, and ``size`` is known of our own files:
        what a server says of its own would give it time.
        """
        tries = _Tries(self._policy.clock())
        while True:
            try:
                result = attempt()
            except TransientError as error:
                self._reconnect()
                stored = measure() if self._reached[0] else 0
                tries.count_failure(stored, self._policy.clock(), error)
                self._refuse_more(tries, size, error)
                self._pause(tries.failures, error)
            else:
                self._reached[0] = True
                return result

    def _refuse_more(self, tries: _Tries, size: int, error: TransientError) -> None:
        """Give up after too many tries, or too much time. Raises TransportError."""
        policy = self._policy
        most = policy.tries if self._reached[0] else min(policy.tries, _FIRST_CONTACT_TRIES)
        if tries.failures >= most:
            reason = f"{tries.failures} tries in a row without progress"
        elif tries.seconds > policy.total + max(size, tries.furthest) / _BYTES_PER_SECOND:
            reason = f"{tries.seconds / 60:,.0f} minutes of interrupted tries"
        else:
            return
        raise TransportError(
            f"{error.message} Gave up after {reason}.",
            error.hint or "Run the same command again later: it resumes.",
        ) from error

    def _pause(self, failures: int, error: TransientError) -> None:
        policy = self._policy
        seconds = policy.choose_pause(failures)
        when = f"in {seconds:.0f} s" if seconds >= 1 else "now"
        policy.note(f"{error.message} Trying again {when}.")
        policy.wait(seconds)

    def _reconnect(self) -> None:
        """Drop the connection, and the megabytes that its buffers hold.

        Its objects refer to each other, and Python would free them only now and then: a server that
        sends a few bytes and breaks off, again and again, filled the memory.
        """
        broken, self._inner = self._inner, self._inner.clone()
        with suppress(AirgapError, OSError):
            broken.close()
        del broken
        gc.collect()


class _RetryingLock:
    """Fills ``ObjectLock`` with that of another transport."""

    def __init__(self, transport: RetryingTransport) -> None:
        self._retry = transport.retry_lock

    def read_settings(self) -> LockSettings:
        return self._retry(lambda lock: lock.read_settings())

    def read_period(self) -> int | None:
        return self._retry(lambda lock: lock.read_period())

    def list_versions(self, prefix: str, cursor: tuple[str, str] | None = None) -> VersionPage:
        return self._retry(lambda lock: lock.list_versions(prefix, cursor))

    def get_version(self, version: Version, sink: Sink, offset: int = 0) -> int:
        sent = 0

        def count(piece: memoryview) -> None:
            nonlocal sent
            sink(piece)
            sent += len(piece)

        self._retry(lambda lock: lock.get_version(version, count, offset + sent))
        return sent

    def read_retention(self, name: str, version: str = "") -> ObjectRetention | None:
        return self._retry(lambda lock: lock.read_retention(name, version))

    def retain(self, name: str, until: int, mode: LockMode | None = None) -> ObjectRetention:
        return self._retry(lambda lock: lock.retain(name, until, mode))

    def remove(self, name: str) -> None:
        self._retry(lambda lock: lock.remove(name))
