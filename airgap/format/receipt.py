"""Receipts: what became of a bundle at a site, for those who sent it (format §29.2).

A receipt is a statement for programs of others (in-toto, SLSA's verification summary), and leaves
the isolated side: it has one form, is bounded, and every text in it can be read on a terminal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from airgap.format import intoto, limits
from airgap.format.checkpoint import Checkpoint, encode_base64
from airgap.format.intoto import InTotoStatement
from airgap.format.ledger_view import EarlierPoint, encode_members

__all__ = [
    "EVENTS",
    "EXTENSION",
    "FAILED",
    "ITEM_DIGEST",
    "OUTCOMES",
    "PREDICATE",
    "LedgerProof",
    "Receipt",
    "ReceiptEvent",
    "ReceiptItem",
    "ReceiptOutcome",
    "encode_receipt",
    "make_levels",
    "receipt_file",
    "shorten",
]

ReceiptEvent = Literal["imported", "waived", "refused"]
EVENTS: Final[tuple[ReceiptEvent, ...]] = get_args(ReceiptEvent)
ReceiptOutcome = Literal["installed", "replaced", "already there", "left out"]
OUTCOMES: Final[tuple[ReceiptOutcome, ...]] = get_args(ReceiptOutcome)
PREDICATE: Final = "https://slsa.dev/verification_summary/v1"
EXTENSION: Final = "airgap:receipt/v1"
ITEM_DIGEST: Final = "airgapItem"
FAILED: Final = ("FAILED",)
"""The levels of a refusal, as SLSA writes them."""


@dataclass(frozen=True, slots=True)
class ReceiptItem:
    """An item of the bundle: its kind and tag, its digest (format §3.2), and what became of it."""

    name: str
    digest: bytes
    outcome: ReceiptOutcome


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """Where the entry is in the ledger: its leaf, the way to the root, and the signed root."""

    index: int
    leaf: bytes
    inclusion: tuple[bytes, ...]
    checkpoint: bytes
    """A signed note (format §28.3)."""
    earlier: tuple[EarlierPoint, ...] = ()
    """The largest first."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a bundle at a site. Digests are SHA-256, 32 bytes.

    ``channel`` is None in a terse receipt, which names nothing but the bundle id.
    """

    site: str
    bundle: bytes
    event: ReceiptEvent
    verified_at: str
    """RFC 3339, UTC, in seconds."""
    root: int
    """The version of the root that decided."""
    root_digest: bytes
    tool: str
    """The version of airgap."""
    ledger: LedgerProof
    holds: tuple[str, ...]
    """The ids of the bundles that the site has whole, sorted."""
    levels: tuple[str, ...] = FAILED
    reason: str = ""
    """For a refusal, the word of its exit code."""
    witnessed: tuple[Checkpoint, ...] = ()
    """The last checkpoints of the sender's ledgers that the site has seen, by origin."""
    note: str = ""
    channel: str | None = None
    sequence: int = 0
    items: tuple[ReceiptItem, ...] = ()
    """As many from the beginning as fit; none for a refusal."""
    item_count: int = 0
    evidence: tuple[tuple[str, bytes], ...] = ()
    """What was counted, each by its file name."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Runs of numbers that never came, first and last."""

    @property
    def passed(self) -> bool:
        """Whether the bundle was imported."""
        return self.event != "refused"

    @property
    def bundle_id(self) -> str:
        """The bundle id, in hex."""
        return self.bundle.hex()


def make_levels(counts: Mapping[str, int], *, waived: bool) -> tuple[str, ...]:
    """Return what was counted as SLSA's levels; ``counts`` has the number of keys by role."""
    levels = [f"AIRGAP_{role.upper()}S_{count}" for role, count in counts.items() if count]
    return tuple(sorted([*levels, *["AIRGAP_WAIVED"] * waived]))


def receipt_file(receipt: Receipt) -> str:
    """Name the file of a receipt."""
    number = receipt.ledger.index + 1
    middle = "" if receipt.channel is None else f"{receipt.channel}.{receipt.sequence}."
    return f"{receipt.site}.{middle}{receipt.bundle_id[:16]}.{number}.receipt.json"


def shorten(receipt: Receipt) -> Receipt:
    """Return a receipt that fits: it names fewer items, then less evidence, then holds less."""
    while len(encode_receipt(receipt)) > limits.RECEIPT_BYTES:
        if receipt.items:
            receipt = replace(receipt, items=receipt.items[: len(receipt.items) // 2])
        elif receipt.evidence:
            receipt = replace(receipt, evidence=receipt.evidence[: len(receipt.evidence) // 2])
        else:
            receipt = replace(receipt, holds=receipt.holds[: len(receipt.holds) // 2])
    return receipt


def encode_receipt(receipt: Receipt) -> bytes:
    """Encode the statement that is signed."""
    bundle = {"digest": {"sha256": receipt.bundle.hex()}, "name": "bundle"}
    items = [
        {"digest": {ITEM_DIGEST: item.digest.hex()}, "name": item.name} for item in receipt.items
    ]
    resource = (
        f"bundle/{receipt.bundle_id}"
        if receipt.channel is None
        else f"channel/{receipt.channel}#{receipt.sequence}"
    )
    evidence = [
        {"digest": {"sha256": digest.hex()}, "uri": uri} for uri, digest in receipt.evidence
    ]
    predicate = {
        EXTENSION: _encode_extension(receipt),
        **({} if receipt.channel is None else {"inputAttestations": evidence}),
        "policy": {
            "digest": {"sha256": receipt.root_digest.hex()},
            "uri": f"{intoto.NAMESPACE}root/{receipt.site}/{receipt.root}",
        },
        "resourceUri": f"{intoto.NAMESPACE}{resource}",
        "timeVerified": receipt.verified_at,
        "verificationResult": "PASSED" if receipt.passed else "FAILED",
        "verifiedLevels": list(receipt.levels),
        "verifier": {
            "id": f"{intoto.NAMESPACE}site/{receipt.site}",
            "version": {"airgap": receipt.tool},
        },
    }
    return intoto.encode_statement(InTotoStatement((bundle, *items), PREDICATE, predicate))


def _encode_extension(receipt: Receipt) -> dict[str, Any]:
    value: dict[str, Any] = {
        "event": receipt.event,
        "holds": list(receipt.holds),
        "ledger": _encode_ledger(receipt.ledger),
        "reason": receipt.reason,
        "witnessed": [
            {"origin": seen.origin, "root": encode_base64(seen.root), "size": seen.size}
            for seen in receipt.witnessed
        ],
    }
    if receipt.note:
        value["note"] = receipt.note
    if receipt.channel is not None:
        value["gaps"] = [list(gap) for gap in receipt.gaps]
        value["items"] = receipt.item_count
        value["outcomes"] = [item.outcome for item in receipt.items]
    return value


def _encode_ledger(proof: LedgerProof) -> dict[str, Any]:
    return {
        **encode_members(proof.checkpoint, proof.earlier),
        "inclusion": list(map(encode_base64, proof.inclusion)),
        "index": proof.index,
        "leaf": encode_base64(proof.leaf),
    }
