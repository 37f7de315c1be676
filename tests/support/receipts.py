"""Receipts made without a machine: of a ledger whose leaves are given, signed by keys of tests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.format import intoto, tree
from airgap.format.checkpoint import (
    Checkpoint,
    NoteSignature,
    add_signature,
    compute_key_hash,
)
from airgap.format.envelope import Envelope
from airgap.format.intoto import StatementEnvelope
from airgap.format.ledger_view import EarlierPoint
from airgap.format.receipt import (
    LedgerProof,
    Receipt,
    ReceiptItem,
    encode_receipt,
    make_levels,
)
from airgap.signing.public_keys import make_key
from tests.support.signers import private_key

ORIGIN = "airgap/ward/0123456789abcdef"
RECORDER = private_key("ray")
LEAVES = tuple(tree.hash_leaf(b"entry %d" % number) for number in range(40))
BUNDLE = bytes(range(32))


def make_checkpoint(
    leaves: Sequence[bytes], origin: str = ORIGIN, key: Ed25519PrivateKey = RECORDER
) -> bytes:
    """Sign the checkpoint of a ledger as its recorder."""
    text = Checkpoint(origin, len(leaves), tree.compute_root(leaves)).text
    key_hash = compute_key_hash(origin, key.public_key().public_bytes_raw())
    return add_signature(text, NoteSignature(origin, key_hash, key.sign(text)))


def make_proof(
    leaves: Sequence[bytes] = LEAVES[:9],
    *,
    earlier: Sequence[int] = (7, 4),
    origin: str = ORIGIN,
) -> LedgerProof:
    """Prove the last leaf of a ledger, and that it continues what it was at earlier receipts."""
    index = len(leaves) - 1
    return LedgerProof(
        index,
        leaves[index],
        tree.prove_inclusion(leaves, index),
        make_checkpoint(leaves, origin),
        tuple(EarlierPoint(size, tree.prove_consistency(leaves, size)) for size in earlier),
    )


def make_receipt(**changes: Any) -> Receipt:  # noqa: ANN401  (any field)
    """Make a receipt of an import with everything in it."""
    receipt = Receipt(
        site="ward",
        bundle=BUNDLE,
        event="imported",
        verified_at="2026-11-30T12:00:00Z",
        root=3,
        root_digest=b"\x11" * 32,
        tool="0.2.0",
        ledger=make_proof(),
        holds=(BUNDLE.hex(), "ff" * 32),
        levels=make_levels({"builder": 2, "scanner": 0, "approver": 1}, waived=False),
        witnessed=(Checkpoint("airgap/ward/fedcba9876543210", 5, b"\x22" * 32),),
        channel="production",
        sequence=7,
        items=(
            ReceiptItem("model ranker:v1", b"\x33" * 32, "installed"),
            ReceiptItem("bento shop:v2", b"\x44" * 32, "already there"),
        ),
        item_count=2,
        evidence=((f"builder.{'ab' * 32}.dsse", b"\x55" * 32),),
        gaps=((3, 5),),
    )
    return replace(receipt, **changes)


def make_refusal(**changes: Any) -> Receipt:  # noqa: ANN401  (any field)
    """Make a receipt of a refusal."""
    return make_receipt(
        event="refused",
        reason="policy",
        levels=("FAILED",),
        items=(),
        evidence=(),
        **changes,
    )


def make_terse(**changes: Any) -> Receipt:  # noqa: ANN401  (any field)
    """Make a receipt that names nothing but the bundle id."""
    return make_receipt(
        channel=None, sequence=0, items=(), item_count=0, evidence=(), gaps=(), **changes
    )


def sign_receipt(payload: bytes, *keys: Ed25519PrivateKey) -> bytes:
    """Put what is signed into an envelope, signed by these keys."""
    message = StatementEnvelope(payload).signed_bytes
    signatures = tuple(
        Envelope(intoto.PAYLOAD_TYPE, make_key(key.public_key()).id, key.sign(message))
        for key in keys
    )
    return intoto.encode_envelope(StatementEnvelope(payload, signatures))


def change_receipt(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return what is signed of a receipt, with a change to its JSON."""
    document = json.loads(encode_receipt(make_receipt()))
    change(document)
    return intoto.encode_json(document)
