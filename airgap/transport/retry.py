"""A transport that does not give up at the first broken connection.

After each ``BrokenOffError`` it waits, connects anew and goes on where it was. The pauses grow, and
chance spreads them, so that many clients do not come back at the same moment. What got further
than ever before starts the count again: only a road on which nothing moves is given up.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from airgap.errors import AirgapError, TransportError
from airgap.transport.names import name_part
from airgap.transport.port import Pace, Sink, Stored, TransientError, Transport

__all__ = ["RetryPolicy", "RetryingTransport"]

T = TypeVar("T")
_TRIES_BEFORE_FIRST_CONTACT: Final = (
    3  # a host that was never reached is more often mistyped than down
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try without getting further, and how long to wait before each try."""

    tries: int = 10
    first_pause: float = 0.5
    """Seconds; each pause is up to twice as long as the one before."""
    longest_pause: float = 60.0
    wait: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random
    note: Callable[[str], object] = lambda _: None
    """Told, in whichever thread it happens, that a connection broke off and when it goes on."""

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures: from half of the most to the most."""
        most = min(self.longest_pause, self.first_pause * 2.0 ** min(failures - 1, 30))
        return most * (1 + self.chance()) / 2


class RetryingTransport:
    """Fills ``Transport`` with another one, and raises no ``BrokenOffError`` any more."""

    def __init__(
        self, inner: Transport, patience: RetryPolicy, met: "list[bool] | None" = None
    ) -> None:
        """Wrap a transport; clones share ``met``: whether any ever got through."""
        self.place = inner.place
        self.capabilities = inner.capabilities
        self._inner = inner
        self._patience = patience
        self._met = [False] if met is None else met

    def size(self, name: str) -> int | None:
        """Return a file's size, or None; see ``Transport``."""
        return self._persist(lambda: self._inner.size(name))

    def list(self, folder: str, limit: int) -> list[str]:
        """Return the names in a folder; see ``Transport``."""
        return self._persist(lambda: self._inner.list(folder, limit))

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        """Send a file's bytes to the sink, none twice; see ``Transport``.

        With a ``length``, an end that comes before both that and the file's end is a broken
        connection, whatever the server says.
        """
        sent = 0

        def count(piece: memoryview) -> None:
            nonlocal sent
            self._met[0] = True
            sink(piece)
            sent += len(piece)

        def attempt() -> None:
            left = None if length is None else length - sent
            if left == 0:
                return
            self._inner.get(name, count, offset + sent, left)
            if length is not None and sent < length:
                there = self._inner.size(name) or 0
                if there > offset + sent:
                    raise TransientError(
                        f"{self.place} ended {name} early and said that it was complete."
                    )

        self._persist(attempt, lambda: sent)
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
        unfinished = part or name_part(name)

        def arrived() -> int:
            if self.capabilities.resumes_uploads:
                with suppress(AirgapError):
                    return self._inner.size(unfinished) or 0
            return 0

        def meet(count: int) -> None:
            self._met[0] = True
            if pace:
                pace(count)

        return self._persist(lambda: self._inner.put(name, source, size, part, meet), arrived)

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store a small file; see ``Transport``.

        A try that broke off may have stored it all the same: then what is there is our own.
        """
        broke_off = False

        def attempt() -> bool:
            nonlocal broke_off
            try:
                made = self._inner.publish(name, data, replace=replace)
            except TransientError:
                broke_off = True
                raise
            return made or (broke_off and self._holds(name, data))

        return self._persist(attempt)

    def delete(self, name: str) -> None:
        """Remove a file; see ``Transport``."""
        self._persist(lambda: self._inner.delete(name))

    def clone(self) -> "RetryingTransport":
        """Return another of the same place, with a connection of its own."""
        return RetryingTransport(self._inner.clone(), self._patience, self._met)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def _holds(self, name: str, data: bytes) -> bool:
        found = bytearray()
        self._inner.get(name, found.extend, 0, len(data) + 1)
        return found == data

    def _persist(self, attempt: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
        """Try until it works, or until nothing has moved for too many tries."""
        failures, furthest = 0, 0
        while True:
            try:
                done = attempt()
            except TransientError as error:
                self._connect_anew()
                now = reached() if self._met[0] else 0
                failures = 1 if now > furthest else failures + 1
                furthest = max(furthest, now)
                self._pause(failures, error)
            else:
                self._met[0] = True
                return done

    def _pause(self, failures: int, error: TransientError) -> None:
        patience = self._patience
        if failures >= (
            patience.tries if self._met[0] else min(patience.tries, _TRIES_BEFORE_FIRST_CONTACT)
        ):
            raise TransportError(
                f"{error.message} That was try {failures} in a row without getting further.",
                error.hint or "Run the same command again later: it goes on from where it was.",
            ) from error
        seconds = patience.pause(failures)
        when = f"in {seconds:.0f} s" if seconds >= 1 else "now"
        patience.note(f"{error.message} Trying again {when}.")
        patience.wait(seconds)

    def _connect_anew(self) -> None:
        broken, self._inner = self._inner, self._inner.clone()
        with suppress(AirgapError, OSError):
            broken.close()
