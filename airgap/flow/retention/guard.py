"""Refuses to remove what an archive keeps (format §35.6)."""

import time
from collections.abc import Collection, Iterable, Iterator

from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, MissingError, PolicyError
from airgap.flow import site as sites
from airgap.flow.retention.lost_records import list_recorded, refuse_lost_records
from airgap.flow.retention.records import (
    ArchiveRecords,
    StoredRecord,
    is_archive,
    read_records,
)
from airgap.flow.retention.standing import BundleStanding, find_standings
from airgap.format import archive, limits, names
from airgap.format.root import Root
from airgap.printable import cut_text, quote
from airgap.times import format_time

__all__ = [
    "find_keeping",
    "load_root",
    "read_kept_manifest",
    "read_standings",
    "refuse_kept",
    "refuse_lost_archive",
]

_CLOCKS_DIFFER = 86_400
"""How many seconds a ``released`` may be from the future (format §35.2, rule 2)."""
_SHOWN = 60


def load_root() -> Root | None:
    """Return the root that this machine has pinned; None if it trusts nobody yet.

    Raises:
        ConfigurationError, NotTrustedError: the state is incomplete, or was changed on disk.
    """
    pinned = sites.load_pinned()
    return pinned.value if pinned else None


def read_standings(depot: Depot) -> tuple[ArchiveRecords, dict[str, BundleStanding]]:
    """Read all records of an archive, and what follows from them with the pinned root.

    Raises:
        CorruptError, TransportError: as ``read_records``.
        ConfigurationError, NotTrustedError: as ``load_root``.
    """
    records = read_records(depot)
    latest = format_time(min(int(time.time()) + _CLOCKS_DIFFER, limits.TIME))
    return records, find_standings(records, load_root(), latest)


def refuse_kept(depot: Depot, bundles: Collection[str]) -> None:
    """Refuse to delete bundles from a depot that is an archive and keeps one of them.

    Raises:
        PolicyError: one is kept, or what speaks of the archive is not complete.
        CorruptError: a record is damaged.
        StorageError, TransportError: this machine's ledger, or the depot, cannot be read.
    """
    if not bundles:
        return
    if not is_archive(depot):
        refuse_lost_records(depot, ArchiveRecords())
        return
    records, standings = read_standings(depot)
    records.require_intact(depot.location)
    for bundle in bundles:
        if bundle in standings:
            _refuse_standing(depot, standings[bundle])
    _refuse_unrecorded(depot, {bundle: records.find(bundle) for bundle in bundles})
    refuse_lost_records(depot, records)


def refuse_lost_archive(depot: Depot) -> None:
    """Refuse to collect garbage where this machine put records that are not there any more.

    Raises:
        PolicyError, StorageError, TransportError: as ``refuse_kept``.
    """
    refuse_lost_records(depot, read_records(depot))


def find_keeping(depot: Depot, present: Collection[str]) -> frozenset[str]:
    """Return the bundles that an archive keeps although they are not among those ``present``.

    Of those, too, of which there is evidence, and no record any more that they were archived.

    Raises:
        CorruptError: a record is damaged.
        TransportError: the depot cannot be read.
    """
    if not is_archive(depot):
        return frozenset()
    records, standings = read_standings(depot)
    records.require_intact(depot.location)
    kept = {bundle for bundle, standing in standings.items() if standing.is_kept}
    lost = {
        name
        for name in depot.transport.list(archive.EVIDENCE, limits.FOLDER_NAMES)
        if names.is_bundle_id(name) and not _is_archived(records.find(name))
    }
    return frozenset(kept | lost) - frozenset(present)


def _is_archived(records: Iterable[StoredRecord]) -> bool:
    return any(stored.record.terms for stored in records)


def read_kept_manifest(depot: Depot, bundle: str) -> bytes:
    """Return the manifest in the evidence of a bundle that is kept and has none in ``bundles``.

    Raises:
        CorruptError: there is none with the bundle's id.
        TransportError: it cannot be read.
    """
    file = archive.EvidenceFile("manifest.msgpack", bundle, 0)
    name = archive.evidence_name(bundle, file)
    try:
        raw = depot.read(name, limits.MANIFEST_BYTES)
    except MissingError:
        raw = b""
    if archive.record_id(raw) != bundle:
        raise CorruptError(
            f"{depot.location} keeps bundle {bundle}, whose manifest is gone: it is neither in"
            f" bundles nor, intact, under {name}.",
            "Copy the bundle back from another copy of the archive. Nothing was removed.",
        )
    return raw


def _refuse_standing(depot: Depot, standing: BundleStanding) -> None:
    if not standing.is_kept:
        return
    raise PolicyError(
        f"{depot.location} must keep bundle {standing.bundle}{_say_why(standing)}.",
        f"`airgap archive show {depot.location}#{standing.bundle}` says why. When nothing keeps it"
        " any more, approvers let it go with `airgap archive release`. Nothing was removed.",
        list(_list_reasons(standing)),
    )


def _say_why(standing: BundleStanding) -> str:
    if standing.holds:
        return " under a hold"
    return f" until {standing.end}" if standing.end else ""


def _list_reasons(standing: BundleStanding) -> Iterator[str]:
    if standing.end:
        yield f"retention until {standing.end}"
    for stored in standing.holds:
        reason = quote(cut_text(stored.record.reason, _SHOWN))
        yield f"hold {stored.id[:16]} since {stored.record.time}: {reason}"
    for bundle in standing.dependents:
        yield f"bundle {bundle} builds on it"
    for identity in standing.missing:
        yield f"record {identity} is missing"
    for stored, why in standing.uncounted:
        yield f"release {stored.id[:16]} does not count: {why}"


def _refuse_unrecorded(depot: Depot, present: dict[str, tuple[StoredRecord, ...]]) -> None:
    """Refuse what the evidence, or a ledger of this machine, says that there were records of."""
    for bundle, records in present.items():
        folder = f"{archive.EVIDENCE}/{bundle}"
        if not _is_archived(records) and depot.transport.list(folder, limits.FOLDER_NAMES):
            raise PolicyError(
                f"{depot.location} has evidence of bundle {bundle} in {folder}, and no record that"
                " it was archived: records may have been removed.",
                f"Restore {archive.RECORDS}/{bundle}.* from another copy of the archive.",
            )
        lost = sorted(list_recorded(bundle) - {stored.id for stored in records})
        if lost:
            raise PolicyError(
                f"This machine's ledger says that bundle {bundle} is kept by record {lost[0]}, and"
                f" {depot.location} does not have it.",
                f"Restore {archive.RECORDS}/{bundle}.* from another copy of the archive.",
                lost[1:],
            )
