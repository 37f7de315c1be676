"""Files removed from a depot so that no writer loses one that it has come to rely on (format §23).

Whoever removes announces it first, and looks again at who needs what. Whoever publishes a bundle
looks afterwards for announcements: of the two, at least one sees the other.
"""

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, MissingError, TransportError
from airgap.flow.progress import Progress
from airgap.format import gc_markers, layout, limits

__all__ = ["Clock", "Sweep", "await_sweeps"]

_SWEEP_SECONDS: Final = 240.0
"""A sweep removes nothing later than so long after it began to be announced."""
_PATIENCE_SECONDS: Final = 900.0
"""Who has watched an announcement for so long takes it as left by one who is dead."""
_PAUSE_SECONDS: Final = 1.0


def _read_steady_clock() -> float:
    """Return seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class Clock:
    """Measures how long something takes, never what time it is; a server's clock plays no part."""

    now: Callable[[], float] = _read_steady_clock
    wait: Callable[[float], object] = time.sleep


class Sweep:
    """An announcement that stands while files are removed.

    If removing breaks off, it stays: a request that was sent may still take effect.
    """

    def __init__(self, depot: Depot, names: Collection[str], clock: Clock) -> None:
        """Announce that these files are about to be removed; at most 1,000.

        Raises:
            TransportError: it cannot be written.
        """
        self._transport = depot.transport
        self._clock = clock
        self._began = clock.now()
        self._name = layout.sweep_name(secrets.token_hex(16))
        self._transport.publish(self._name, gc_markers.encode_sweep(names))

    @property
    def is_over(self) -> bool:
        """Whether it is too late to remove anything more under this announcement."""
        return self._clock.now() - self._began > _SWEEP_SECONDS

    def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
            TransportError: it took too long, or the depot refused.
        """
        if self.is_over:
            raise TransportError(
                f"Removing files from {self._transport.location} takes too long.",
                "Run the same command again: it goes on from where it was.",
            )
        self._transport.delete(name)

    def end(self) -> None:
        """Take the announcement back: everything that was to be removed is, or will not be."""
        self._transport.delete(self._name)


def await_sweeps(depot: Depot, names: Collection[str], clock: Clock, progress: Progress) -> None:
    """Wait until every sweep has ended that is announced now and names one of these files.

    Raises:
        TransportError: the depot cannot be read.
    """
    for file in depot.transport.list(layout.GC, limits.FOLDER_NAMES):
        name = f"{layout.GC}/{file}"
        if layout.is_sweep(file) and _concerns(depot, name, names):
            progress.note(f"{depot.place} is being cleaned; waiting for that to end.")
            _await_end(depot, name, clock)


def _concerns(depot: Depot, name: str, names: Collection[str]) -> bool:
    try:
        swept = gc_markers.decode_sweep(depot.read(name, limits.SWEEP_BYTES))
    except MissingError:  # it has just ended
        return False
    except CorruptError:  # it may name anything
        return True
    return not swept.isdisjoint(names)


def _await_end(depot: Depot, name: str, clock: Clock) -> None:
    began = clock.now()
    while depot.transport.size(name) is not None:
        if clock.now() - began > _PATIENCE_SECONDS:
            depot.transport.delete(name)
            return
        clock.wait(_PAUSE_SECONDS)
