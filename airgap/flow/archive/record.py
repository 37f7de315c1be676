"""Writes a record into an archive, and the entry of the ledger that has its id (§35.2, §17.3)."""

from airgap.carrier.depot import Depot
from airgap.errors import ConfigurationError
from airgap.flow.admission import history
from airgap.flow.admission.who import find_who
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.flow.progress import Progress
from airgap.flow.retention.archive_id import (
    digest_archive_id,
    digest_location,
    make_archive_id,
)
from airgap.flow.retention.own_ledger import find_entries
from airgap.flow.retention.records import place_record
from airgap.format.archive import ArchiveRecord, encode_record, record_id
from airgap.format.intoto import StatementEnvelope
from airgap.format.root import Root
from airgap.printable import make_printable
from airgap.signing.records import SIGNING_ROLES, sign_record
from airgap.signing.signer import Signer

__all__ = ["demand_signer", "find_by", "is_recorded", "publish_record", "record_fact"]


def demand_signer(root: Root, signer: Signer) -> None:
    """Demand that a key may sign ``archived`` and ``held`` (format §35.2).

    Raises:
        ConfigurationError: it is neither a recorder nor an approver of the site.
    """
    if any(signer.key.id in root.signers(role) for role in SIGNING_ROLES):
        return
    raise ConfigurationError(
        f"Key {signer.key.id} is neither a recorder nor an approver of site {root.site}: its root"
        f" (version {root.version}) does not name it, or revokes it.",
        "Sign with a recorder's key, or let the root name this one: `airgap root add-key ROOT"
        " NAME.pub --role recorder`.",
    )


def find_by() -> str:
    """Return who does it, as far as the config file lets records say so."""
    return make_printable(find_who().user)


def record_fact(
    depot: Depot,
    record: ArchiveRecord,
    envelope: StatementEnvelope | None,
    signer: Signer,
    progress: Progress,
) -> str:
    """Sign a record, store it, and enter it into the ledger; return its id.

    ``envelope`` is that of a record which is there: only what is missing is done.

    Raises:
        PolicyError: the ledger is not consistent; nothing was stored.
        StorageError, TransportError: it cannot be written.
        ConfigurationError: the keeper of the key refuses.
    """
    return publish_record(depot, record, envelope or sign_record(record, signer), signer, progress)


def publish_record(
    depot: Depot,
    record: ArchiveRecord,
    envelope: StatementEnvelope,
    signer: Signer | None,
    progress: Progress,
) -> str:
    """Store a signed record, and enter it and where it is into the ledger; return its id.

    Raises as above; CorruptError: the id of the archive is damaged.

    A writer that was killed in between is run again, and finds which of the two is missing.
    """
    identity = record_id(encode_record(record))
    store = history.locate_ledger(record.site, "exporting")
    if store.exists():
        history.check_history(record.site, "exporting").require()
    archive = make_archive_id(depot)
    place_record(depot, envelope)
    if not is_recorded(record, identity):
        key_ids = [signature.key_id for signature in envelope.signatures]
        event = EventRecord(
            record.event,
            bundle=bytes.fromhex(record.bundle),
            documents={
                "archive": digest_archive_id(archive),
                "location": digest_location(depot),
                "record": bytes.fromhex(identity),
            },
            note=record.reason or (record.terms.class_name if record.terms else ""),
            key=signer.key.id if signer else key_ids[0],
        )
        record_event(record.site, "exporting", event, progress)
    return identity


def is_recorded(record: ArchiveRecord, identity: str) -> bool:
    """Tell whether this machine's ledger has an entry of a record. Raises as ``find_entries``."""
    digest = bytes.fromhex(identity)
    entries = find_entries(record.site, "exporting", digest)
    return any(entry.documents.get("record") == digest for entry in entries)
