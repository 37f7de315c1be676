"""Puts a bundle of an archive under a hold (format §35.6)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from airgap.carrier.depot import Depot
from airgap.errors import MissingError, UsageError
from airgap.flow.admission import history
from airgap.flow.admission.policy import require_root
from airgap.flow.archive.lock import lock_bundles
from airgap.flow.archive.record import demand_signer, find_by, record_fact
from airgap.flow.depot.open_depot import open_depot
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation
from airgap.flow.progress import Progress
from airgap.flow.retention.guard import read_standings
from airgap.flow.retention.records import ArchiveRecords
from airgap.flow.retention.standing import BundleStanding
from airgap.format import layout
from airgap.format.archive import ArchiveRecord, find_heads
from airgap.format.attestation import note_problem
from airgap.format.root import Root
from airgap.signing.records import count_record_signers
from airgap.signing.signer import Signer
from airgap.times import format_time

__all__ = ["HeldBundle", "NamedBundle", "demand_reason", "hold_bundle", "open_named", "read_now"]


@dataclass(frozen=True, slots=True)
class NamedBundle:
    """One bundle of an archive that is open, and what the records say of it."""

    depot: Depot
    bundle: str
    records: ArchiveRecords
    standing: BundleStanding | None
    """None: it has no records."""
    is_published: bool
    """Whether its manifest is in ``bundles``."""

    def find_heads(self) -> tuple[str, ...]:
        """Return the ids of the records that a new one names."""
        return find_heads((one.id, one.record) for one in self.records.find(self.bundle))


@dataclass(frozen=True, slots=True)
class HeldBundle:
    """A bundle that is under a hold, by its record's id; ``is_new``: it was written now."""

    bundle: str
    hold: str
    is_new: bool


@contextmanager
def open_named(location: DepotLocation, connector: Connector) -> Iterator[NamedBundle]:
    """Open an archive, and find the bundle that a location names; it may have been deleted.

    Raises:
        UsageError: the location names none.
        MissingError: no bundle and no record has that id, or several have its beginning.
        CorruptError: a record is damaged.
        TransportError: the archive cannot be read.
    """
    if not location.bundle:
        raise UsageError(f"{location} does not say which bundle is meant.", "Give ARCHIVE#ID.")
    with open_depot(replace(location, bundle=""), connector) as depot:
        records, standings = read_standings(depot)
        records.require_intact(depot.location)
        ids = {name for name in standings if name.startswith(location.bundle)}
        published = {
            name
            for name in depot.list_folders(location.bundle)
            if depot.transport.size(layout.manifest_name(name)) is not None
        }
        found = sorted(ids | published)
        if len(found) != 1:
            raise MissingError(
                f"{depot.location} has {len(found)} bundles whose ID begins with"
                f" {location.bundle}.",
                f"See `airgap archive list {depot.location}`.",
                found[:5],
            )
        yield NamedBundle(depot, found[0], records, standings.get(found[0]), found[0] in published)


def hold_bundle(
    location: DepotLocation, reason: str, signer: Signer, connector: Connector
) -> HeldBundle:
    """Put a bundle under a hold; one that this key holds for the same reason stays as it is.

    Raises:
        UsageError: there is no bundle in the location, or the reason cannot be signed.
        MissingError: there is no such bundle.
        ConfigurationError: this machine trusts nobody, or the key may not sign.
        PolicyError: the ledger is not consistent; nothing was written.
        CorruptError: a record is damaged.
        StorageError, TransportError: it cannot be written.
    """
    root = require_root().value
    demand_signer(root, signer)
    demand_reason(reason)
    with open_named(location, connector) as named:
        held = _hold(named, root, reason, signer, connector.progress)
        lock_bundles(named.depot, {named.bundle})  # the record, too, and also after one that died
        return held


def _hold(
    named: NamedBundle, root: Root, reason: str, signer: Signer, progress: Progress
) -> HeldBundle:
    """Write the record, unless one of this key has the same reason."""
    for held in named.standing.holds if named.standing else ():
        signers = count_record_signers(held.envelopes, root).values()
        if held.record.reason == reason and any(signer.key.id in ids for ids in signers):
            record_fact(named.depot, held.record, held.envelopes[0], signer, progress)
            return HeldBundle(named.bundle, held.id, is_new=False)
    record = ArchiveRecord(
        "held",
        named.bundle,
        root.site,
        format_time(read_now()),
        by=find_by(),
        reason=reason,
        previous=named.find_heads(),
    )
    identity = record_fact(named.depot, record, None, signer, progress)
    return HeldBundle(named.bundle, identity, is_new=True)


def demand_reason(reason: str) -> None:
    """Demand a reason that can be signed. Raises UsageError."""
    problem = note_problem(reason) if reason.strip() else "is empty"
    if problem:
        raise UsageError(f"The reason {problem}.", "Write one short line: --reason TEXT.")


def read_now() -> int:
    """Return now (format §17.2), in seconds since 1970.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        PolicyError: the import history is not consistent.
    """
    root = require_root().value
    return history.compute_effective_time(history.require_consistent(root.site), root)
