"""What an archive holds, as plain data for JSON and lines for people (format §35)."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, CorruptError, MissingError
from airgap.flow.archive.hold import NamedBundle, open_named
from airgap.flow.depot.open_depot import open_depot
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation
from airgap.flow.retention.guard import read_standings
from airgap.flow.retention.records import StoredRecord
from airgap.flow.retention.standing import BundleStanding
from airgap.flow.site import load_pinned
from airgap.format import layout
from airgap.format.archive import EvidenceFile, evidence_name
from airgap.format.root import Root, SignedRoot
from airgap.signing.as_of import accept_older_roots
from airgap.signing.records import count_record_signers

__all__ = ["ArchiveListing", "describe_bundle_records", "describe_listing", "list_archive"]


@dataclass(frozen=True, slots=True)
class ArchiveListing:
    """What an archive holds: each bundle with records, and what is wrong."""

    bundles: tuple[dict[str, Any], ...]
    unarchived: tuple[str, ...]
    """The ids of bundles without a record."""
    damaged: Mapping[str, str]
    """Records that cannot be read, by file name."""


def list_archive(location: DepotLocation, connector: Connector) -> ArchiveListing:
    """List the bundles of an archive, those that end first before the others.

    Raises:
        MissingError: it holds no bundle and no record.
        CorruptError: there are too many records.
        TransportError: it cannot be read.
    """
    with open_depot(replace(location, bundle=""), connector) as depot:
        records, standings = read_standings(depot)
        published = _list_published(depot)
    if not records.bundles and not records.damaged and not published:
        raise MissingError(
            f"{depot.location} holds no bundle and no record.",
            "Give an archive: a depot that bundles were added to with `airgap archive add`.",
        )
    order = sorted(standings.values(), key=lambda one: (not one.is_kept, one.end, one.bundle))
    rows = tuple(_describe_standing(one, is_there=one.bundle in published) for one in order)
    return ArchiveListing(rows, tuple(sorted(published - standings.keys())), records.damaged)


def describe_listing(location: DepotLocation, listing: ArchiveListing) -> dict[str, Any]:
    """Describe what an archive holds."""
    return {
        "archive": str(location),
        "bundles": list(listing.bundles),
        "unarchived": list(listing.unarchived),
        "damaged_records": dict(listing.damaged),
    }


def describe_bundle_records(location: DepotLocation, connector: Connector) -> dict[str, Any]:
    """Describe one bundle of an archive: its records, who signed them, and its evidence, compared.

    Raises:
        AirgapError: as ``open_named``.
    """
    with open_named(location, connector) as named:
        standing = named.standing or BundleStanding(named.bundle, ())
        roots = _list_roots(named)
        evidence = {
            file: _compare(named, file)
            for one in standing.archived
            if one.record.terms
            for file in one.record.terms.evidence
        }
        reasons = {one.id: why for one, why in standing.uncounted}
        return {
            "archive": named.depot.location,
            **_describe_standing(standing, is_there=named.is_published),
            "tombstone": _find_tombstone(named, standing, evidence),
            "records": [
                _describe_record(one, roots, reasons.get(one.id, "")) for one in standing.records
            ],
            "missing_records": list(standing.missing),
            "evidence": [
                {"name": file.name, "sha256": file.sha256, "size": file.size, "verdict": verdict}
                for file, verdict in sorted(evidence.items())
            ],
        }


def _list_published(depot: Depot) -> set[str]:
    with suppress(MissingError):
        return set(depot.list_bundles())
    return set()


def _describe_standing(standing: BundleStanding, *, is_there: bool) -> dict[str, Any]:
    terms = [one.record.terms for one in standing.archived if one.record.terms]
    return {
        "bundle": standing.bundle,
        "present": is_there,
        "kept": standing.is_kept,
        "classes": sorted({term.class_name for term in terms}),
        "archived_at": min((one.record.time for one in standing.archived), default=None),
        "keep_until": standing.end or None,
        "holds": [
            {
                "id": one.id,
                "since": one.record.time,
                "by": one.record.by,
                "reason": one.record.reason,
            }
            for one in standing.holds
        ],
        "released": standing.release.id if standing.release else None,
        "bases": sorted({base for term in terms for base in term.bases}),
        "needed_by": list(standing.dependents),
    }


def _describe_record(stored: StoredRecord, roots: Sequence[Root], uncounted: str) -> dict[str, Any]:
    record = stored.record
    return {
        "id": stored.id,
        "event": record.event,
        "time": record.time,
        "by": record.by,
        "reason": record.reason,
        "hold": record.hold,
        "class_name": record.terms.class_name if record.terms else None,
        "keep_until": record.terms.keep_until if record.terms else None,
        "escrow": record.terms.escrow if record.terms else None,
        "signed_by": _find_signers(stored, roots),
        "does_not_count": uncounted or None,
    }


def _find_signers(stored: StoredRecord, roots: Sequence[Root]) -> list[dict[str, Any]]:
    """Return the keys that signed, each by the newest root that has it; the pinned one is first."""
    found: dict[tuple[str, str], int] = {}
    for root in roots:
        for role, key_ids in count_record_signers(stored.envelopes, root).items():
            for key_id in key_ids:
                found.setdefault((role, key_id), root.version)
    return [
        {"role": role, "key": key_id, "root": version}
        for (role, key_id), version in sorted(found.items())
    ]


def _list_roots(named: NamedBundle) -> list[Root]:
    """Return the roots of the site that can be relied on, the newest first (format §33.6)."""
    pinned = load_pinned()
    if pinned is None:
        return []
    travelling: list[SignedRoot] = []
    with suppress(AirgapError):
        travelling = named.depot.read_roots()
    accepted = accept_older_roots(pinned, travelling)
    return [one.root for one in reversed(accepted)]


def _compare(named: NamedBundle, file: EvidenceFile) -> str:
    """Compare a file of evidence with its record: intact, missing or damaged."""
    try:
        raw = named.depot.read(evidence_name(named.bundle, file), file.size)
    except MissingError:
        return "missing"
    except CorruptError:
        return "damaged"
    return "intact" if hashlib.sha256(raw).hexdigest() == file.sha256 else "damaged"


def _find_tombstone(
    named: NamedBundle, standing: BundleStanding, evidence: Mapping[EvidenceFile, str]
) -> bool:
    """Tell whether what is left proves what was there (format §35.3)."""
    manifest = EvidenceFile(layout.MANIFEST, named.bundle, 0)
    has_manifest = any(
        (file.name, file.sha256) == (manifest.name, manifest.sha256) and verdict == "intact"
        for file, verdict in evidence.items()
    )
    return not named.is_published and bool(standing.archived) and has_manifest
