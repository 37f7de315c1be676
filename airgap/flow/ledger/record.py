"""Appends what was done to a ledger of this machine (format §17.3)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.flow import site as sites
from airgap.flow.admission import history
from airgap.flow.admission.history import Side
from airgap.flow.progress import Progress, Silent
from airgap.format.ledger import Entry, Event, Who, bound_signers
from airgap.format.ledger_entry import is_document_name
from airgap.format.root import Root

__all__ = [
    "ANY_SITE",
    "EventRecord",
    "find_sites",
    "record_event",
    "record_for_audience",
    "recording",
]

ANY_SITE: Final = "any"
"""Stands for the site of a bundle that names none, on a machine that trusts none."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What was done, for a ledger: with which bundle, documents and key.

    ``documents`` has the SHA-256 of each document by its name (format §17.3), ``signed_by`` the ids
    of keys by role, and ``note`` is clipped to what an entry may have.
    """

    event: Event
    bundle: bytes | None = None
    channel: str | None = None
    sequence: int = 0
    documents: Mapping[str, bytes] = field(default_factory=dict)
    note: str = ""
    key: str = ""
    """The id of the key that was used; empty: none was."""
    signed_by: Mapping[str, Sequence[str]] = field(default_factory=dict)
    waiver: bytes | None = None


def record_event(
    site: str, side: Side, record: EventRecord, progress: Progress | None = None
) -> int:
    """Append an entry to a ledger of a site, durably; return its number, from 1 on.

    The ledger of exports begins with its first entry, that of imports with `airgap trust init`.

    Raises:
        PolicyError: the ledger is not consistent (format §17.5).
        StorageError: it cannot be written, or this machine never began to trust the site.
        ValueError: a document has a name that an entry cannot have.
    """
    if not all(map(is_document_name, record.documents)):
        raise ValueError(f"an entry cannot name the documents {sorted(record.documents)}")
    root = _find_root(site)
    store = history.locate_ledger(site, side)
    if side == "exporting" and not store.exists():
        with translate_errors(store.folder):
            store.create(history.stamp_entry(_make_entry(site, root, EventRecord("begun")), None))
    with history.lock_history(site, progress or Silent(), side, whole=False) as (writer, status):
        consistent = status.require()
        entry = history.stamp_entry(_make_entry(site, root, record), consistent.state)
        with translate_errors(store.folder):
            return writer.append(consistent, entry).entries


def record_for_audience(audience: Sequence[str], record: EventRecord, progress: Progress) -> None:
    """Append an entry about a bundle to the ledger of exports for each site that it is for.

    Raises:
        PolicyError, StorageError: as ``record_event``.
    """
    for site in find_sites(audience):
        record_event(site, "exporting", record, progress)


@contextmanager
def recording(audience: Sequence[str], record: EventRecord, progress: Progress) -> Iterator[None]:
    """Record what the block does to a bundle, if it succeeds; refuse it if that cannot be recorded.

    Raises:
        PolicyError, StorageError: as ``record_event``; before the block if a ledger has a fault.
    """
    for site in find_sites(audience):
        if history.locate_ledger(site, "exporting").exists():
            history.check_history(site, "exporting").require()
    yield
    record_for_audience(audience, record, progress)


def find_sites(audience: Sequence[str]) -> tuple[str, ...]:
    """Return the sites whose ledgers of exports a bundle with this audience belongs in."""
    if audience:
        return tuple(audience)
    pinned = sites.load_pinned()
    return (pinned.value.site if pinned else ANY_SITE,)


def _find_root(site: str) -> Root | None:
    """Return the root that is pinned, if it is that of the site."""
    pinned = sites.load_pinned()
    return pinned.value if pinned and pinned.value.site == site else None


def _make_entry(site: str, root: Root | None, record: EventRecord) -> Entry:
    return Entry(
        site=site,
        event=record.event,
        at=0,
        floor=(root.created_at or 0) if root else 0,
        root=root.version if root else 0,
        previous=b"",
        bundle=record.bundle,
        channel=record.channel,
        sequence=record.sequence,
        waiver=record.waiver,
        note=history.clip_note(record.note),
        signed_by=bound_signers(record.signed_by),
        documents=record.documents,
        who=Who(key=record.key),
    )
