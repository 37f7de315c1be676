"""What an archive keeps is locked on its server at least until its end (format §37.3)."""

import time
from collections.abc import Set as AbstractSet

from airgap.carrier.depot import Depot
from airgap.errors import ConfigurationError
from airgap.flow.archive.demands import Demands, find_demands
from airgap.flow.publishing.retain import retain_files
from airgap.flow.retention.guard import read_standings

__all__ = ["lock_bundles", "lock_demanded"]


def lock_bundles(depot: Depot, bundles: AbstractSet[str]) -> int:
    """Lock what bundles consist of, and what they build on; return how many files that are.

    In a depot on another kind of server, or in a bucket without object lock, nothing is done.

    Raises:
        StorageError: the server confirmed, and does not lock one.
        AirgapError: as ``read_standings`` and ``find_demands``.
    """
    if depot.find_lock() is None:
        return 0
    _, standings = read_standings(depot)
    chosen = {
        bundle: standing
        for bundle, standing in standings.items()
        if bundle in bundles or not bundles.isdisjoint(standing.dependents)
    }
    return lock_demanded(depot, find_demands(depot, chosen))


def lock_demanded(depot: Depot, demands: Demands) -> int:
    """Lock each file as long as the records demand; return how many were looked at.

    Raises:
        ConfigurationError: the server does not lock files.
        StorageError: the server confirmed, and does not lock one.
        TransportError: it cannot be reached, or refuses.
    """
    if depot.transport.object_lock is None:
        raise ConfigurationError(
            f"{depot.location} keeps no locks: only a server that speaks S3 does.",
            "Leave out --lock, or copy the archive to a bucket with object lock.",
        )
    now = int(time.time())
    by_end: dict[int, list[str]] = {}
    for name, end in demands.ends.items():
        if end > now:
            by_end.setdefault(end, []).append(name)
    for end, names in sorted(by_end.items()):
        retain_files(depot, names, end)
    return sum(map(len, by_end.values()))
