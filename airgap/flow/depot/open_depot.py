"""Depots as a whole: local and remote ones opened alike, their bundles read side by side."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass

from airgap.carrier.depot import Depot, DepotBundle, DepotOptions
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.flow.bundle.open_bundle import read_evidence
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.flow.location.readers import require_path
from airgap.format import layout, limits, names
from airgap.format import manifest as manifests
from airgap.signing.thresholds import Evidence
from airgap.state import manifest_cache
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = [
    "DamagedBundle",
    "StoredBundle",
    "make_not_found",
    "open_depot",
    "read_bundles",
]


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle of a depot: its manifest's bytes have its id, and nothing else is proven."""

    bundle: str
    raw: bytes
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class DamagedBundle:
    """A bundle of a depot whose manifest or envelopes are not what they should be."""

    bundle: str
    error: AirgapError


@contextmanager
def open_depot(location: DepotLocation, connector: Connector = LOCAL) -> Iterator[Depot]:
    """Open a depot in a folder of this machine or on a server, and close it.

    Raises:
        TransportError: it cannot be reached.
    """
    with closing(connector.open_depot(location)) as depot:
        yield depot


def read_bundles(depot: Depot, wanted: str = "") -> Iterator[StoredBundle | DamagedBundle]:
    """Read the manifests of a depot and what lies beside them, sorted by bundle id.

    ``wanted`` is the beginning of the ids that matter. A bundle that goes while this is under way
    is passed over.

    Raises:
        CorruptError: there are too many.
        TransportError: the depot cannot be read.
    """
    listed = depot.transport.list(layout.BUNDLES, limits.FOLDER_NAMES)
    ids = [one for one in listed if names.is_bundle_id(one) and one.startswith(wanted)]
    if len(ids) > limits.DEPOT_BUNDLES:
        raise CorruptError(f"{depot.location} holds too many bundles.", "Name one: DEPOT#ID.")
    lanes: ConnectionPool[StoredBundle | DamagedBundle | None] = ConnectionPool(
        depot.transport, depot.work.jobs
    )
    under_way: deque[Future[StoredBundle | DamagedBundle | None]] = deque()
    try:
        for bundle in ids:
            under_way.append(lanes.submit(_Reading(depot.work, bundle).run))
            if len(under_way) > 2 * depot.work.jobs:
                yield from _there(under_way.popleft())
        while under_way:
            yield from _there(under_way.popleft())
    finally:
        lanes.close()
        manifest_cache.trim()


def _there(
    future: "Future[StoredBundle | DamagedBundle | None]",
) -> Iterator[StoredBundle | DamagedBundle]:
    found = future.result()
    if found is not None:
        yield found


@dataclass(frozen=True, slots=True)
class _Reading:
    """One bundle, read over one connection."""

    work: DepotOptions
    bundle: str

    def run(self, transport: Transport) -> StoredBundle | DamagedBundle | None:
        """Return the bundle, or None if it is not there (any more)."""
        reader = DepotBundle(Depot(transport, self.work), self.bundle)
        try:
            if layout.MANIFEST not in reader.list_files():
                return None
            raw = manifest_cache.load(self.bundle)
            if raw is None:
                raw = self._fetched(reader)
            return StoredBundle(self.bundle, raw, read_evidence(reader))
        except MissingError:
            return None
        except CorruptError as error:
            return DamagedBundle(self.bundle, error)

    def _fetched(self, reader: DepotBundle) -> bytes:
        _, raw = reader.read_manifest()
        if manifests.bundle_id(raw) != self.bundle:
            raise CorruptError(
                f"The manifest of {reader.location} was changed or damaged.",
                "Put it there again from its source, or delete the bundle.",
            )
        manifest_cache.save_manifest(self.bundle, raw)
        return raw


def make_not_found(location: DepotLocation, what: str) -> MissingError:
    """Make the error that no bundle has it; or that the folder, often mistyped, is not there."""
    if isinstance(location, LocalDepot):
        try:
            require_path(location.path)
        except MissingError as error:
            return error
    return MissingError(
        f"No bundle of {location} has the {what}.",
        f"See `airgap list {location}` for what is there.",
    )
