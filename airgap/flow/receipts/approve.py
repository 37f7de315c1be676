"""Lets a receipt leave the site: an approver signs it, too (format §29.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConfigurationError
from airgap.flow.bundle.open_to_sign import load_known_root
from airgap.flow.receipts.accept import read_receipt_file
from airgap.flow.receipts.make import UNAPPROVED
from airgap.format import intoto
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import Receipt
from airgap.format.root import Root
from airgap.signing.receipts import add_signature, count_approvers, read_envelope, verify_receipt
from airgap.signing.signer import Signer

__all__ = ["ApprovedReceipt", "approve_receipt"]


@dataclass(frozen=True, slots=True)
class ApprovedReceipt:
    """A receipt that an approver has signed; ``path`` is where it is now."""

    receipt: Receipt
    path: Path
    approvals: int
    """How many approvers have signed it; of those whom this machine's root names, if it has one."""
    demanded: int | None
    """How many the root demands; None: this machine has no root of the site."""

    @property
    def may_leave(self) -> bool:
        """Whether it has all approvals, as far as this machine can tell."""
        return self.demanded is not None and self.approvals >= self.demanded


def approve_receipt(
    path: Path, signer: Signer, confirm: Callable[[Receipt], object]
) -> ApprovedReceipt:
    """Sign a receipt as an approver; one with all its approvals leaves the folder ``unapproved``.

    ``confirm`` is shown what is signed, and raises if it is not to be signed.

    Raises:
        ConfigurationError: the key is not an approver of the site whose root is pinned.
        NotTrustedError: that site's recorder has not signed it.
        CorruptError: it is malformed.
        ConflictError: the key has signed it already.
        StorageError: it cannot be written.
    """
    raw = read_receipt_file(path)
    envelope = read_envelope(raw)
    root = load_known_root()
    receipt = decode_receipt(envelope.payload)
    if root is not None and root.site == receipt.site:
        verify_receipt(raw, root, demand_approvals=False)
        _require_approver(signer, root)
    else:
        root = None
    confirm(receipt)
    signed = add_signature(envelope, signer)
    with translate_errors(path):
        durable.replace_file(path, intoto.encode_envelope(signed))
    if root is None:
        return ApprovedReceipt(receipt, path, len(signed.signatures) - 1, None)
    demanded = root.rules.receipts.approvals
    approved = ApprovedReceipt(receipt, path, len(count_approvers(signed, root)), demanded)
    if not approved.may_leave or path.absolute().parent.name != UNAPPROVED:
        return approved
    target = path.absolute().parent.parent / path.name
    durable.move_file(path, target)
    return ApprovedReceipt(receipt, target, approved.approvals, demanded)


def _require_approver(signer: Signer, root: Root) -> None:
    if signer.key.id not in root.signers("approver"):
        raise ConfigurationError(
            f"The key {signer.key.id} is not an approver of site {root.site}"
            f" (root version {root.version}).",
            "Give the key of an approver: `airgap trust show` lists them.",
        )
