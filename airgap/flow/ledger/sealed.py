"""Records that a bundle was encrypted to recipients (format §17.3)."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

from airgap.flow.ledger.record import EventRecord, record_for_audience
from airgap.flow.progress import Progress
from airgap.flow.publishing.sealed_writer import UnpublishedIndex
from airgap.format import manifest as manifests
from airgap.format.ledger import digest
from airgap.signing.signer import Signer

__all__ = ["RecordSealed", "make_recorder"]

RecordSealed: TypeAlias = Callable[[UnpublishedIndex], None]
_MAX_ENVELOPES: Final = 63  # an entry has 64 documents, and one is the index


def make_recorder(signers: Sequence[Signer], progress: Progress) -> RecordSealed:
    """Return what records an index that these signers signed, before it is published.

    It raises PolicyError if a ledger is not consistent, and StorageError if it cannot be written.
    """
    return partial(_record, signers, progress)


def _record(signers: Sequence[Signer], progress: Progress, index: UnpublishedIndex) -> None:
    inner = manifests.decode(index.inner)
    key_ids = [signer.key.id for signer in signers]
    envelopes = zip(key_ids, index.envelopes.values(), strict=True)
    record = EventRecord(
        "sealed",
        bundle=digest(index.inner),
        channel=inner.channel,
        sequence=inner.sequence,
        documents={
            "index": digest(index.raw),
            **{
                f"envelope:{key}": digest(envelope)
                for key, envelope in islice(envelopes, _MAX_ENVELOPES)
            },
        },
        key=key_ids[0],
        signed_by={"builder": key_ids},
    )
    record_for_audience(inner.audience, record, progress)
