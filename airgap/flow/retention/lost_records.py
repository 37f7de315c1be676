"""Records that this machine's ledgers name, and an archive does not have (format §35.6)."""

from airgap.carrier.depot import Depot
from airgap.errors import CorruptError, PolicyError
from airgap.flow import site as sites
from airgap.flow.retention.archive_id import digest_archive_id, digest_location, read_archive_id
from airgap.flow.retention.own_ledger import find_earlier_entries, find_entries
from airgap.flow.retention.records import ArchiveRecords
from airgap.format import archive
from airgap.format.ledger import Entry
from airgap.printable import count_text

__all__ = ["find_lost_records", "list_recorded", "refuse_lost_records"]


def refuse_lost_records(depot: Depot, records: ArchiveRecords) -> None:
    """Refuse to remove anything from a depot that lacks a record which was put there.

    Raises:
        PolicyError: it does, or a ledger is not consistent.
        StorageError, TransportError: a ledger or the depot cannot be read.
    """
    lost = find_lost_records(depot, records)
    if not lost:
        return
    were, are = ("was", "it is") if len(lost) == 1 else ("were", "they are")
    raise PolicyError(
        f"This machine's ledger says that {count_text(len(lost), 'record')} {were} put into"
        f" {depot.location}, and {are} not in {archive.RECORDS}: what must be kept is unknown.",
        f"Nothing was removed. Copy the folder {archive.ARCHIVE} back from another copy of the"
        f" archive; `airgap archive doctor {depot.location}` says whether all is there. If the"
        " archive was moved away on purpose, keep this depot under another name.",
        [f"record {identity} of bundle {bundle}" for identity, bundle in sorted(lost.items())[:10]],
    )


def find_lost_records(depot: Depot, records: ArchiveRecords) -> dict[str, str]:
    """Return the ids of records that keep something and should be in this depot, with the bundles.

    Those are meant that a ledger of exports of this machine names for this archive, by its id, or
    for where it is: also if there is nothing of an archive any more. Raises as above.
    """
    digests = [digest_location(depot)]
    try:
        identity = read_archive_id(depot)
    except CorruptError:  # what is damaged names no archive, and where it is does
        identity = ""
    digests += [digest_archive_id(identity)] if identity else []
    present = {stored.id for stored_ in records.bundles.values() for stored in stored_}
    recorded: dict[str, str] = {}
    for digest in digests:
        recorded |= {
            entry.documents["record"].hex(): (entry.bundle or b"").hex()
            for entry in _find_keeping_entries(digest)
            if digest in (entry.documents.get("archive"), entry.documents.get("location"))
        }
    return {identity: recorded[identity] for identity in recorded.keys() - present}


def list_recorded(bundle: str) -> frozenset[str]:
    """Return the ids of the records that keep a bundle, by this machine's ledgers of exports."""
    digest = bytes.fromhex(bundle)
    return frozenset(
        entry.documents["record"].hex()
        for entry in _find_keeping_entries(digest)
        if entry.bundle == digest
    )


def _find_keeping_entries(digest: bytes) -> list[Entry]:
    """Return the entries of records that keep something, and in which a digest occurs.

    Those before a reset count as well: a reset forgets nothing.
    """
    pinned = sites.load_pinned()
    if pinned is None:
        return []
    site = pinned.value.site
    entries = [
        *find_entries(site, "exporting", digest),
        *find_earlier_entries(site, "exporting", digest),
    ]
    return [
        entry
        for entry in entries
        if entry.event in ("archived", "held") and "record" in entry.documents
    ]
