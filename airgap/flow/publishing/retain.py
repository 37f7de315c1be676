"""Files of a depot are locked on a server that keeps them from being deleted (format §37.3).

A writer that relies on a file that is there already locks it anew, after the manifest is published:
from then on the server itself refuses to delete it. Where files are locked, this stands for the
sweeps of garbage collection (format §23).
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import MissingError
from airgap.transport.connections import run_in_parallel
from airgap.transport.object_lock import ObjectLock
from airgap.transport.port import Transport

__all__ = ["retain_files"]

_SLACK_SECONDS: Final = 24 * 3600
"""What is locked to within a day of the time is not locked anew."""


def retain_files(
    depot: Depot,
    names: Iterable[str],
    until: int | None = None,
    clock: Callable[[], float] = time.time,
) -> int:
    """Lock files at least until a time; return how many of them are not there.

    Args:
        depot: where they are.
        names: their depot names.
        until: seconds since 1970; None is as long as the location's options say. Without such
            options nothing is locked, and nothing is asked.
        clock: gives seconds since 1970.

    Raises:
        ConfigurationError: the server does not lock files.
        StorageError: the server confirmed, and does not lock one.
        TransportError: it cannot be reached, or refuses.
    """
    lock = depot.transport.object_lock
    if until is None:
        period = None if lock is None else lock.read_period()
        if period is None:
            return 0
        until = int(clock()) + period
    work = [partial(_retain, name, until) for name in names]
    return run_in_parallel(depot.transport, depot.work.jobs, work).count(False)


def _retain(name: str, until: int, transport: Transport) -> bool:
    """Lock a file, unless it is locked for nearly as long; return False if it is not there."""
    lock: ObjectLock | None = transport.object_lock
    if lock is None:
        return True
    try:
        retention = lock.read_retention(name)
        if retention is None or retention.until < until - _SLACK_SECONDS:
            lock.retain(name, until)
    except MissingError:
        return False
    return True
