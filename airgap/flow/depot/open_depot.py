"""Depots as a whole: local and remote ones opened alike, their bundles read side by side."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass

from airgap.carrier.depot import Depot, DepotBundle, DepotOptions
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.flow.bundle.open_bundle import read_evidence
from airgap.flow.bundle.unseal import unseal
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.flow.location.readers import require_path
from airgap.format import layout, limits
from airgap.format import manifest as manifests
from airgap.format.attachment import list_names
from airgap.format.manifest import Manifest
from airgap.printable import count_text
from airgap.sealing.age_keys import AgeIdentity
from airgap.signing.thresholds import Evidence
from airgap.state import manifest_cache
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = [
    "DamagedBundle",
    "StoredBundle",
    "make_not_found",
    "open_depot",
    "read_bundle",
    "read_bundles",
    "unseal_stored",
]


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle of a depot. The manifest's bytes have its id; nothing else is verified."""

    bundle: str
    raw: bytes
    evidence: Evidence
    attachments: tuple[str, ...] = ()
    """The names of its attachments, which were not read."""
    index: Manifest | None = None
    """If this is the bundle inside a sealed one: the index of that one, whose id ``bundle`` is."""


@dataclass(frozen=True, slots=True)
class DamagedBundle:
    """A bundle of a depot whose manifest or envelopes are damaged."""

    bundle: str
    error: AirgapError


def unseal_stored(
    depot: Depot, bundle: StoredBundle, index: Manifest, identities: Sequence[AgeIdentity]
) -> StoredBundle:
    """Return the bundle inside a sealed one of a depot, with the id of the sealed one.

    ``index`` is its admitted manifest. Of what is inside, nothing is admitted yet; who admits it
    compares it with the index (``check_inner``).

    Raises:
        ConfigurationError: there is no identity, or none opens it.
        CorruptError: the seal is damaged, or is that of another index.
    """
    from airgap.carrier.remote_depot import RemoteDepotReader

    inside = unseal(RemoteDepotReader(depot, bundle.bundle), index, identities)
    _, raw = inside.read_manifest()
    files = list_names(inside.list_files())
    return StoredBundle(bundle.bundle, raw, read_evidence(inside), files, index)


@contextmanager
def open_depot(location: DepotLocation, connector: Connector = LOCAL) -> Iterator[Depot]:
    """Open a depot in a folder of this machine or on a server, and close it.

    Raises:
        TransportError: it cannot be reached.
    """
    with closing(connector.open_depot(location)) as depot:
        yield depot


def read_bundles(depot: Depot, prefix: str = "") -> Iterator[StoredBundle | DamagedBundle]:
    """Read the manifests of a depot and the signatures beside them, sorted by bundle id.

    ``prefix`` is the beginning of the ids that matter. A bundle that is deleted meanwhile is
    skipped.

    Raises:
        CorruptError: there are too many.
        TransportError: the depot cannot be read.
    """
    ids = depot.list_folders(prefix)
    if len(ids) > limits.DEPOT_BUNDLES:
        raise CorruptError(
            f"{depot.location} holds more than {limits.DEPOT_BUNDLES:,} bundles.",
            "Name the one you want: DEPOT#ID.",
        )
    pool: ConnectionPool[StoredBundle | DamagedBundle | None] = ConnectionPool(
        depot.transport, depot.work.jobs
    )
    pending: deque[Future[StoredBundle | DamagedBundle | None]] = deque()
    try:
        for bundle in ids:
            pending.append(pool.submit(_BundleRead(depot.work, bundle).run))
            if len(pending) > 2 * depot.work.jobs:
                yield from _yield_result(pending.popleft())
        while pending:
            yield from _yield_result(pending.popleft())
    finally:
        pool.close()
        if depot.work.caches_manifests:
            manifest_cache.trim()


def read_bundle(depot: Depot, bundle: str) -> StoredBundle | DamagedBundle:
    """Read the manifest of one bundle and the signatures beside it; ``bundle`` is its whole id.

    Raises:
        MissingError: it is not there, or not any more.
        TransportError: the depot cannot be read.
    """
    read = _BundleRead(depot.work, bundle).run(depot.transport)
    if read is None:
        raise MissingError(
            f"{depot.location} has no bundle {bundle}.",
            f"Look again: `airgap list {depot.location}`.",
        )
    return read


def _yield_result(
    future: "Future[StoredBundle | DamagedBundle | None]",
) -> Iterator[StoredBundle | DamagedBundle]:
    bundle = future.result()
    if bundle is not None:
        yield bundle


@dataclass(frozen=True, slots=True)
class _BundleRead:
    """One bundle, read over one connection."""

    work: DepotOptions
    bundle: str

    def run(self, transport: Transport) -> StoredBundle | DamagedBundle | None:
        """Return the bundle, or None if it was deleted."""
        reader = DepotBundle(Depot(transport, self.work), self.bundle)
        try:
            if layout.MANIFEST not in reader.list_files():
                return None
            raw = manifest_cache.load(self.bundle) if self.work.caches_manifests else None
            if raw is None:
                raw = self._fetch_manifest(reader)
            return StoredBundle(
                self.bundle, raw, read_evidence(reader), list_names(reader.list_files())
            )
        except MissingError:
            return None
        except CorruptError as error:
            return DamagedBundle(self.bundle, error)

    def _fetch_manifest(self, reader: DepotBundle) -> bytes:
        _, raw = reader.read_manifest()
        if manifests.bundle_id(raw) != self.bundle:
            raise CorruptError(
                f"The manifest of {reader.location} is damaged: its SHA-256 is not its ID.",
                f"Copy {layout.manifest_name(self.bundle)} from its source again, or delete the"
                " bundle.",
            )
        if self.work.caches_manifests:
            manifest_cache.save_manifest(self.bundle, raw)
        return raw


def make_not_found(location: DepotLocation, what: str, sealed: int = 0) -> MissingError:
    """Make the error that no bundle has it; or that the folder, often mistyped, is missing.

    ``sealed`` is how many bundles are sealed, and were not opened.
    """
    if isinstance(location, LocalDepot):
        try:
            require_path(location.path)
        except MissingError as error:
            return error
    if sealed:
        bundles = count_text(sealed, "sealed bundle")
        return MissingError(
            f"No bundle of {location} that can be read here holds the {what}; {bundles} of it may.",
            "Give what opens them: --identity FILE, or AIRGAP_IDENTITY.",
        )
    return MissingError(
        f"No bundle of {location} holds the {what}.",
        f"`airgap list {location}` shows what it holds.",
    )
