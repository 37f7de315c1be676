"""Receipts as plain data, and as lines for people."""

from collections.abc import Iterator
from typing import Any

from airgap.flow.receipts.accept import AcceptedReceipt
from airgap.flow.receipts.approve import ApprovedReceipt
from airgap.flow.receipts.confirmations import Confirmation, SiteHolds, Unconfirmed
from airgap.flow.receipts.make import MadeReceipt
from airgap.flow.receipts.witness import Witnessed
from airgap.format.receipt import Receipt
from airgap.printable import count_text
from airgap.signing.receipts import SignedReceipt
from airgap.times import format_time

__all__ = [
    "describe_accepted",
    "describe_approved",
    "describe_confirmation",
    "describe_holds",
    "describe_ledger",
    "describe_made",
    "describe_receipt",
    "describe_shown",
    "describe_unconfirmed",
    "describe_witnessed",
    "receipt_lines",
]


def describe_receipt(receipt: Receipt) -> dict[str, Any]:
    """Describe what a receipt says."""
    return {
        "site": receipt.site,
        "bundle": receipt.bundle_id,
        "event": receipt.event,
        "result": "passed" if receipt.passed else "failed",
        "reason": receipt.reason or None,
        "verified_at": receipt.verified_at,
        "root_version": receipt.root,
        "levels": list(receipt.levels),
        "channel": receipt.channel,
        "sequence": receipt.sequence if receipt.channel is not None else None,
        "items": [
            {"name": item.name, "digest": item.digest.hex(), "outcome": item.outcome}
            for item in receipt.items
        ],
        "item_count": receipt.item_count if receipt.channel is not None else None,
        "evidence": [{"file": file, "sha256": digest.hex()} for file, digest in receipt.evidence],
        "gaps": [list(gap) for gap in receipt.gaps],
        "holds": list(receipt.holds),
        "note": receipt.note or None,
        "tool": receipt.tool,
        "ledger": describe_ledger(receipt),
        "witnessed": [
            {"origin": point.origin, "size": point.size, "root": point.root.hex()}
            for point in receipt.witnessed
        ],
    }


def describe_ledger(receipt: Receipt) -> dict[str, Any]:
    """Describe where its entry is in the ledger."""
    origin, size, root = receipt.ledger.checkpoint.decode().split("\n")[:3]
    return {"origin": origin, "size": int(size), "root": root, "entry": receipt.ledger.index + 1}


def receipt_lines(receipt: Receipt) -> Iterator[str]:
    """Write a receipt for people: all of it that means something to them."""
    ledger = describe_ledger(receipt)
    result = "was imported" if receipt.passed else f"was refused ({receipt.reason})"
    yield f"bundle {receipt.bundle_id}"
    yield f"{result} at site {receipt.site}, {receipt.verified_at}, by root {receipt.root}"
    if receipt.channel is not None:
        yield f"channel {receipt.channel}, number {receipt.sequence}"
    yield from (f"{item.outcome}: {item.name}" for item in receipt.items)
    if receipt.item_count > len(receipt.items):
        yield f"and {receipt.item_count - len(receipt.items):,} more items"
    if receipt.passed:
        yield f"verified: {', '.join(receipt.levels)}"
    if receipt.note:
        yield f"note: {receipt.note}"
    yield from (
        f"never came: number {first}" if first == last else f"never came: numbers {first} to {last}"
        for first, last in receipt.gaps
    )
    held = count_text(len(receipt.holds), "bundle")
    yield f"the site has all files of {held}, with their sizes; their contents were not read"
    yield f"entry {ledger['entry']} of {ledger['size']} in ledger {ledger['origin']}"


def describe_made(made: MadeReceipt | None) -> dict[str, Any] | None:
    """Describe a receipt that an import has made."""
    if made is None:
        return None
    return {"file": str(made.path), "approvals_needed": made.approvals}


def describe_witnessed(witnessed: tuple[Witnessed, ...]) -> list[dict[str, Any]]:
    """Describe the checkpoints that came with a bundle."""
    return [
        {
            "origin": seen.checkpoint.origin,
            "size": seen.checkpoint.size,
            "verdict": seen.verdict,
        }
        for seen in witnessed
    ]


def describe_accepted(accepted: AcceptedReceipt) -> dict[str, Any]:
    """Describe a receipt that was accepted."""
    return {
        **describe_receipt(accepted.signed.receipt),
        "file": str(accepted.path),
        "continuity": accepted.continuity,
        "replaced": accepted.is_replaced,
        "is_new": accepted.is_new,
        "exported_here": accepted.is_known,
        "no_longer_held": list(accepted.gone),
        "signed_by": {
            "recorder": list(accepted.signed.recorders),
            "approver": list(accepted.signed.approvers),
        },
    }


def describe_shown(receipt: Receipt, signed: SignedReceipt | None) -> dict[str, Any]:
    """Describe a receipt that was read, and who signed it if it was verified."""
    signers = signed and {"recorder": list(signed.recorders), "approver": list(signed.approvers)}
    return {**describe_receipt(receipt), "verified": signed is not None, "signed_by": signers}


def describe_approved(approved: ApprovedReceipt, key_id: str) -> dict[str, Any]:
    """Describe a receipt that an approver has signed with a key."""
    return {
        **describe_receipt(approved.receipt),
        "file": str(approved.path),
        "approvals": approved.approvals,
        "approvals_needed": approved.demanded,
        "may_leave": approved.may_leave,
        "signed_by": key_id,
    }


def describe_confirmation(row: Confirmation) -> dict[str, Any]:
    """Describe what a site has said of a bundle."""
    return {
        "site": row.site,
        "bundle": row.bundle,
        "result": "passed" if row.passed else "failed",
        "by": "receipt" if row.ledger else "note",
        "ledger": row.ledger or None,
        "size": row.size,
        "accepted_at": None if row.at is None else format_time(row.at),
    }


def describe_unconfirmed(row: Unconfirmed) -> dict[str, Any]:
    """Describe a bundle that a site has not confirmed."""
    return {
        "site": row.site,
        "bundle": row.bundle,
        "channel": row.channel,
        "sequence": row.sequence,
        "exported_at": format_time(row.exported_at),
        "has_note": row.has_note,
    }


def describe_holds(held: SiteHolds) -> dict[str, Any]:
    """Describe what a site holds."""
    return {"site": held.site, "bundles": list(held.bundles), "exported_here": list(held.exported)}
