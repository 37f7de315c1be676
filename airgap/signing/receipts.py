"""Receipts: signed by recorders and approvers, verified with a site's root (format §29.4)."""

from dataclasses import dataclass, replace
from typing import Final

from airgap.errors import ConflictError, CorruptError, NotTrustedError
from airgap.format import envelope as dsse
from airgap.format import intoto, limits
from airgap.format.checkpoint import Checkpoint
from airgap.format.envelope import Role
from airgap.format.intoto import StatementEnvelope
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import Receipt
from airgap.format.root import Root
from airgap.format.tree import verify_inclusion
from airgap.signing.checkpoints import verify_checkpoint
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers

__all__ = ["SignedReceipt", "add_signature", "count_approvers", "read_envelope", "verify_receipt"]

_WHAT: Final = "receipt"


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt that the recorders of a site's root have signed, with its verified checkpoint."""

    receipt: Receipt
    checkpoint: Checkpoint
    recorders: tuple[str, ...]
    approvers: tuple[str, ...]
    raw: bytes
    """The whole file."""


def read_envelope(raw: bytes) -> StatementEnvelope:
    """Read the file of a receipt; nothing is verified, and its payload is not decoded.

    Raises:
        CorruptError: it is not in the one form that a writer writes (format §29.1).
    """
    envelope = intoto.decode_envelope(raw, _WHAT, limits.RECEIPT_FILE_BYTES)
    if intoto.encode_envelope(envelope) != raw or envelope.payload_type != intoto.PAYLOAD_TYPE:
        raise CorruptError(
            "The receipt is not in the form that airgap writes.",
            "Get the receipt again from the site.",
        )
    return envelope


def add_signature(envelope: StatementEnvelope, signer: Signer) -> StatementEnvelope:
    """Sign a receipt, once more or as the first.

    Raises:
        ConflictError: this key has signed it, or no room is left.
        ConfigurationError: the keeper of the key refuses.
    """
    if any(signature.key_id == signer.key.id for signature in envelope.signatures):
        raise ConflictError(
            f"The receipt is signed by key {signer.key.id} already.", "Use another approver's key."
        )
    signature = signer.sign("statement", envelope.payload)
    signed = replace(envelope, signatures=(*envelope.signatures, signature))
    if len(intoto.encode_envelope(signed)) > limits.RECEIPT_FILE_BYTES:
        raise ConflictError(
            "The receipt has no room for another signature.", "It has more than it needs."
        )
    return signed


def count_approvers(envelope: StatementEnvelope, root: Root) -> tuple[str, ...]:
    """Return the ids of the approvers who signed a receipt. Raises as ``verify_receipt``."""
    return _find_signers(envelope, root, "approver")


def verify_receipt(raw: bytes, root: Root, *, demand_approvals: bool = True) -> SignedReceipt:
    """Verify the file of a receipt: signatures first, then its content (format §29.4, 1 to 3).

    Raises:
        NotTrustedError: no recorder of the site has signed it, too few approvers have, it is of
            another site, or its checkpoint or proof does not hold.
        CorruptError: it is malformed.
    """
    envelope = read_envelope(raw)
    recorders = _find_signers(envelope, root, "recorder")
    if not recorders:
        raise NotTrustedError(
            f"The receipt is not signed by a recorder of site {root.site}.",
            f"Check that it is of site {root.site}, and that the key of the machine that made it"
            f" has the role recorder in the root (version {root.version}).",
        )
    approvers = count_approvers(envelope, root)
    demanded = root.rules.receipts.approvals
    if demand_approvals and len(approvers) < demanded:
        raise NotTrustedError(
            f"The receipt has {len(approvers)} of the {demanded} approvals that site {root.site}"
            " demands before a receipt leaves it.",
            "Send it back: the site's approvers run `airgap receipt approve`.",
        )
    receipt = decode_receipt(envelope.payload)  # not before its signatures
    if receipt.site != root.site:
        raise NotTrustedError(
            f"The receipt is of site {receipt.site}; the root is of site {root.site}.",
            "Give the root of the site that made the receipt.",
        )
    return SignedReceipt(
        receipt, _verify_ledger(receipt, root, recorders), recorders, approvers, raw
    )


def _verify_ledger(receipt: Receipt, root: Root, recorders: tuple[str, ...]) -> Checkpoint:
    """Verify checkpoint and inclusion proof; those who signed the receipt signed it, too."""
    keys = {key_id: root.signers("recorder")[key_id] for key_id in recorders}
    name = "The checkpoint in the receipt"
    checkpoint, _ = verify_checkpoint(receipt.ledger.checkpoint, keys, name, (root.site,))
    proof = receipt.ledger
    is_included = verify_inclusion(
        proof.leaf, proof.index, checkpoint.size, proof.inclusion, checkpoint.root
    )
    if not is_included:
        raise NotTrustedError(
            "The receipt does not prove that its entry is in a ledger of the site.",
            "Its recorder signed something that airgap does not write: ask the site how it was"
            " made.",
        )
    return checkpoint


def _find_signers(envelope: StatementEnvelope, root: Root, role: Role) -> tuple[str, ...]:
    """Return the ids of the role's keys with a valid signature (format §7.3)."""
    keys = root.signers(role) if role in root.roles else {}
    envelopes = [
        dsse.encode(signature) for signature in envelope.signatures if signature.key_id in keys
    ]
    try:
        return find_valid_signers("statement", envelope.payload, envelopes, keys)
    except NotTrustedError as error:
        raise NotTrustedError(
            error.message, "The receipt was changed or damaged: get it again from the site."
        ) from error
