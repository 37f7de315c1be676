"""What a sender attaches to a bundle: its own checkpoint, and what it knows of the site (§29.5)."""

from airgap.flow.ledger.record import find_sites
from airgap.flow.receipts.accept import read_kept
from airgap.flow.receipts.witness import make_checkpoint, name_ledger
from airgap.format.attachment import CHECKPOINT, attachment_file
from airgap.format.ledger_view import encode_view
from airgap.format.manifest import Manifest
from airgap.format.receipt import Receipt
from airgap.signing.receipts import read_envelope
from airgap.signing.signer import Signer
from airgap.state.receipt_store import KeptReceipt, ReceiptStore

__all__ = ["attach_checkpoints"]


def attach_checkpoints(manifest: Manifest, bundle: bytes, signer: Signer) -> dict[str, bytes]:
    """Return the attachments of a bundle whose entry ``exported`` was appended, by file name.

    Raises:
        CorruptError: an accepted receipt was damaged.
        StorageError: a ledger or a receipt cannot be read.
        ConfigurationError: the recorder's key is not an Ed25519 key, or its keeper refuses.
    """
    attachments: dict[str, bytes] = {}
    for site in find_sites(manifest.audience):
        store = ReceiptStore(site)
        newest: dict[str, KeptReceipt] = {}
        for kept in store.list_accepted():  # by the size of the ledger: the last one counts
            newest[kept.ledger] = kept
        receipts = {ledger: read_kept(store, kept) for ledger, kept in newest.items()}
        own = make_checkpoint(site, bundle, _find_acknowledged(site, receipts), signer)
        attachments |= dict([own]) if own else {}
        for ledger, receipt in receipts.items():
            recorder = read_envelope(store.read(newest[ledger])).signatures[0].key_id
            file = attachment_file(ledger, recorder, CHECKPOINT)
            attachments[file] = encode_view(receipt.ledger.checkpoint, ())
    return attachments


def _find_acknowledged(site: str, receipts: dict[str, Receipt]) -> int:
    """Return how many entries of the ledger of exports the site has seen by its newest receipts."""
    origin = name_ledger(site, "exporting")
    sizes = [
        seen.size
        for receipt in receipts.values()
        for seen in receipt.witnessed
        if seen.origin == origin
    ]
    return max(sizes, default=0)
