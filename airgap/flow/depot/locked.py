"""Removes files from a depot whose server keeps them until a date (format §37.5).

The server decides, not airgap: what is asked here beforehand only spares a half-finished work. No
sweep is written, because nothing could remove it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from airgap.carrier.depot import Depot
from airgap.errors import MissingError, StorageError
from airgap.format import layout
from airgap.printable import count_text
from airgap.times import format_time
from airgap.transport.connections import run_in_parallel
from airgap.transport.object_lock import (
    ObjectRetention,
    Version,
    iterate_versions,
)
from airgap.transport.port import Transport

__all__ = ["read_retentions", "refuse_locked_bundle", "refuse_locked_files"]


def refuse_locked_bundle(depot: Depot, bundle: str, clock: Callable[[], float] = time.time) -> None:
    """Refuse to delete a bundle of which the server still keeps a file.

    Raises:
        StorageError: it does; the message says until when.
        TransportError: the server does not say.
    """
    lock = depot.find_lock()
    if lock is None:
        return
    versions = [
        version
        for version in iterate_versions(lock, f"{layout.BUNDLES}/{bundle}/")
        if version.size is not None
    ]
    retentions = run_in_parallel(
        depot.transport, depot.work.jobs, [partial(_read_version, version) for version in versions]
    )
    now = int(clock())
    kept = [retention for retention in retentions if retention and retention.until > now]
    if kept:
        last = max(kept, key=lambda retention: retention.until)
        raise StorageError(
            f"{depot.location}#{bundle} is locked until {format_time(last.until)} ({last.mode}):"
            f" {count_text(len(kept), 'file')} cannot be deleted before.",
            "Delete it then. Nothing was changed.",
        )


def read_retentions(depot: Depot, files: Sequence[str]) -> Mapping[str, ObjectRetention | None]:
    """Return how each of these files is locked; those that are gone are left out."""
    found = run_in_parallel(
        depot.transport, depot.work.jobs, [partial(_read_latest, name) for name in files]
    )
    return {
        name: retention
        for name, (is_there, retention) in zip(files, found, strict=True)
        if is_there
    }


def refuse_locked_files(
    location: str, retentions: Mapping[str, ObjectRetention | None], before: int
) -> None:
    """Refuse to collect garbage where all of it is locked, or was until a short time ago.

    Args:
        location: the depot.
        retentions: of the files that no bundle needs.
        before: seconds since 1970; what was locked until then is removed.

    Raises:
        StorageError: none can be removed.
    """
    ends = [retention.until for retention in retentions.values() if retention]
    if retentions and not any(end <= before for end in ends):
        what = count_text(len(retentions), "file")
        when = f"the first until {format_time(min(ends))}" if ends else "by its settings"
        raise StorageError(
            f"{location} has object lock: {what} that no bundle needs {_is(len(retentions))} kept,"
            f" {when}.",
            "Run the same command again then. Nothing was changed.",
        )


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _read_version(version: Version, transport: Transport) -> ObjectRetention | None:
    lock = transport.object_lock
    return None if lock is None else lock.read_retention(version.name, version.id)


def _read_latest(name: str, transport: Transport) -> tuple[bool, ObjectRetention | None]:
    lock = transport.object_lock
    try:
        return True, None if lock is None else lock.read_retention(name)
    except MissingError:
        return False, None
