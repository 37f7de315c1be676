"""Removes files from a depot so that no writer loses one that it has come to rely on (format §23).

A process that removes files announces them first, and then checks again which are needed. A process
that publishes a bundle looks for announcements afterwards: of the two, at least one sees the other.
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
"""A sweep removes nothing later than this after it was announced."""
_PATIENCE_SECONDS: Final = 900.0
"""An announcement that has stood for this long was left by a process that died."""
_PAUSE_SECONDS: Final = 1.0


def _read_steady_clock() -> float:
    """Return seconds of a clock that is never set, and that runs on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class Clock:
    """Measures how long something takes, on this machine; a server's clock plays no part."""

    now: Callable[[], float] = _read_steady_clock
    wait: Callable[[float], object] = time.sleep


class Sweep:
    """An announcement that stands while files are removed.

    If removing is interrupted, it stays: a request that was sent may still take effect.
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
                f"Removing files from {self._transport.location} took too long.",
                "Run the same command again: it continues where it stopped.",
            )
        self._transport.delete(name)

    def end(self) -> None:
        """Withdraw the announcement: everything that was to be removed is, or will not be."""
        self._transport.delete(self._name)


def await_sweeps(depot: Depot, names: Collection[str], clock: Clock, progress: Progress) -> None:
    """Wait until every sweep has ended that is announced now and names one of these files.

    Raises:
        TransportError: the depot cannot be read.
    """
    for file in depot.transport.list(layout.GC, limits.FOLDER_NAMES):
        name = f"{layout.GC}/{file}"
        if layout.is_sweep(file) and _concerns(depot, name, names):
            progress.note(f"gc is running on {depot.location}; waiting for it to end.")
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
