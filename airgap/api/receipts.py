"""Receipts: what became of bundles at a site, for those who sent them (format §29)."""

from pathlib import Path
from typing import Literal, cast

from airgap.api import results
from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.keys import Passphrase, PrivateKey, make_signer
from airgap.flow.receipts import accept as accepting
from airgap.flow.receipts import approve as approving
from airgap.flow.receipts import confirmations, describe

__all__ = ["accept", "approve", "holds", "list_accepted", "list_missing", "show"]


@edge
def show(path: StrPath, *, root: StrPath | None = None) -> results.ShownReceiptDict:
    """Read a receipt, and verify it if there is a root of its site.

    Args:
        path: a ``.receipt.json`` file.
        root: the root of the site; default: the one that this machine trusts.

    Raises:
        NotTrustedError: there is a root, and no recorder of it has signed the receipt.
        CorruptError: it is not a receipt.
    """
    raw = accepting.read_receipt_file(Path(path))
    receipt, signed = accepting.inspect_receipt(raw, None if root is None else Path(root))
    return cast("results.ShownReceiptDict", describe.describe_shown(receipt, signed))


@edge
def approve(
    path: StrPath,
    *,
    key: StrPath | PrivateKey | None = None,
    passphrase: Passphrase | None = None,
) -> results.ApprovedReceiptDict:
    """Sign a receipt as an approver: what it says may leave the site.

    Args:
        path: a ``.receipt.json`` file. With all its approvals it is moved from the folder
            ``unapproved`` to the one above.
        key: the private key, or its file; default: ``AIRGAP_KEY``, then the config file's ``key``.
        passphrase: of the key, or a function that returns it; default: ``AIRGAP_PASSPHRASE``.

    Raises:
        ConfigurationError: the key is not an approver of the site whose root is pinned.
        NotTrustedError: that site's recorder has not signed the receipt.
        ConflictError: the key has signed it already.
    """
    signer = make_signer(key, passphrase)
    approved = approving.approve_receipt(Path(path), signer, lambda receipt: None)  # noqa: ARG005
    return cast("results.ApprovedReceiptDict", describe.describe_approved(approved, signer.key.id))


@edge
def accept(
    path: StrPath,
    *,
    root: StrPath | None = None,
    new_ledger: Literal["replaces", "beside"] | None = None,
) -> results.AcceptedReceiptDict:
    """Verify a receipt of a site, compare its ledger with what it was before, and keep it.

    Args:
        path: a ``.receipt.json`` file.
        root: the root of the site; default: the one that this machine trusts.
        new_ledger: accepts a ledger that is not known: it takes the place of those that are, or is
            of another machine of the site.

    Raises:
        NotTrustedError: it is not signed as the site demands, or a ledger was rewritten.
        PolicyError: its ledger is not known, or receipts in between are missing.
        CorruptError: it is not a receipt.
    """
    trusted = accepting.load_root(None if root is None else Path(root))
    raw = accepting.read_receipt_file(Path(path))
    accepted = accepting.accept_receipt(raw, trusted, new_ledger)
    return cast("results.AcceptedReceiptDict", describe.describe_accepted(accepted))


@edge
def list_accepted(site: str | None = None) -> list[results.ConfirmationDict]:
    """Return the receipts and notes that this machine has accepted, of one site or of all."""
    rows = confirmations.list_confirmations(site)
    return [cast("results.ConfirmationDict", describe.describe_confirmation(row)) for row in rows]


@edge
def list_missing(site: str | None = None) -> list[results.UnconfirmedDict]:
    """Return the bundles that were exported here and that no receipt confirms, oldest first."""
    rows = confirmations.list_unconfirmed(site)
    return [cast("results.UnconfirmedDict", describe.describe_unconfirmed(row)) for row in rows]


@edge
def holds(site: str) -> results.SiteHoldsDict:
    """Return what a site still has whole, by its newest receipts.

    Raises:
        MissingError: no receipt of the site was accepted on this machine.
    """
    held = confirmations.list_held(site)
    return cast("results.SiteHoldsDict", describe.describe_holds(held))
