"""Every kind of exception is found in what it is about, and in nothing else (format §38.2)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from airgap.flow.audit.exceptions import CONTRADICTIONS, KINDS, find_exceptions
from airgap.flow.audit.join import join_movements
from airgap.flow.audit.material import (
    AuditedBundle,
    AuditedEntry,
    AuditedLedger,
    AuditedReceipt,
    AuditedRoots,
    AuditedSignature,
    AuditedStamp,
    AuditFilter,
    AuditMaterial,
    LedgerSide,
    RuleResult,
)
from airgap.flow.ledger.checkpoints import SignedCheckpoint
from airgap.format.checkpoint import Checkpoint
from airgap.format.ledger import Entry, Replaced
from airgap.format.root import SignedRoot
from airgap.format.site_rules import SiteRules, TimestampAuthority
from airgap.format.tree import compute_root, hash_leaf
from airgap.signing.as_of import AcceptedRoot
from tests.support import receipts
from tests.support.signers import accepted, make_root, person, team

BUNDLE: Final = bytes(range(32))
BOB: Final = person("bob").key.id
SAM: Final = person("sam").key.id
ORIGIN: Final = "airgap/ward/0123456789abcdef"


def make_entry(number: int, event: str, **fields: Any) -> AuditedEntry:  # noqa: ANN401
    values: dict[str, Any] = {
        "at": 100 + number,
        "floor": 0,
        "root": 1,
        "previous": bytes(32),
        "bundle": BUNDLE,
        "channel": "nightly",
        "sequence": 1,
        "signed_by": {"builder": (BOB,), "scanner": (SAM,)},
    }
    entry = Entry("ward", event, **{**values, **fields})  # type: ignore[arg-type]
    return AuditedEntry(number, entry, b"entry %d" % number)


def make_ledger(
    entries: Sequence[AuditedEntry],
    side: LedgerSide = "imports",
    **fields: Any,  # noqa: ANN401
) -> AuditedLedger:
    last = entries[-1].number if entries else 0
    signed = SignedCheckpoint(Checkpoint(ORIGIN, last, bytes(32)), b"", person("ray").key)
    values: dict[str, Any] = {"signed": signed, "origin": ORIGIN}
    label = "L1" if side == "exports" else "L2"
    return AuditedLedger(
        label, site="ward", side=side, source="a", entries=entries, **{**values, **fields}
    )


def make_roots(**changes: Any) -> AuditedRoots:  # noqa: ANN401
    root = replace(
        make_root(builder=team("bob ben"), scanner=team("sam"), recorder=team("ray")),
        created_at=1,
        **changes,
    )
    today = accepted(root)
    return AuditedRoots(
        today, [SignedRoot(today.raw, ())], [AcceptedRoot(root, "SHA256:", "pinned")], []
    )


def make_bundle(**changes: Any) -> AuditedBundle:  # noqa: ANN401
    rules: dict[int, tuple[RuleResult, str]] = dict.fromkeys(range(1, 10), ("yes", ""))
    signature = AuditedSignature("scanner", "malware", "accept", SAM, "f", "o", "", None, "")
    bundle = AuditedBundle(
        bundle=BUNDLE.hex(),
        source="depot",
        medium="folder",
        channel="nightly",
        sequence=1,
        created_at=50,
        expires_at=None,
        audience=(),
        labels={},
        size=1,
        stored_size=1,
        packs=1,
        volumes="",
        items=(),
        recipients=None,
        completes="",
        rules=rules,
        signatures=(signature,),
        stamps=(),
        stamps_unchecked="",
        attachments=(),
    )
    return replace(bundle, **changes)


def make_material(**changes: Any) -> AuditMaterial:  # noqa: ANN401
    """A bundle that was exported, scanned, imported and confirmed, without an exception."""
    documents = {"receipt": b"r" * 32}
    exports = [
        make_entry(1, "exported"),
        make_entry(2, "receipt-accepted", documents=documents),
    ]
    imports = [make_entry(1, "imported"), make_entry(2, "receipt-made", documents=documents)]
    material = AuditMaterial(
        now=1000,
        tool="1",
        wanted=AuditFilter(),
        roots=make_roots(),
        ledgers=[make_ledger(exports, "exports", origin=ORIGIN[:-1] + "0"), make_ledger(imports)],
        bundles=[make_bundle()],
        receipts=[],
    )
    return replace(material, **changes)


def imported(*entries: AuditedEntry, **fields: Any) -> list[AuditedLedger]:  # noqa: ANN401
    """Return the ledgers of the material, with these entries in that of imports."""
    exports, imports = make_material().ledgers
    return [exports, make_ledger([*imports.entries, *entries], **fields)]


def stamped(**changes: Any) -> AuditedBundle:  # noqa: ANN401
    stamp = AuditedStamp("b/x.tsr", "b/x", 60, None, "", "openssl ts")
    return make_bundle(stamps=(replace(stamp, **changes),))


AUTHORITY: Final = SiteRules(timestamp_authorities=(TimestampAuthority(bytes(32)),))
RECEIPT: Final = AuditedReceipt("receipts/a", b"r" * 32, receipts.make_receipt(), ORIGIN, 9)
REVOKED: Final = {"revoked_keys": (BOB,), "rules": SiteRules(revoked_since={BOB: 500})}

CASES: Final[dict[str, dict[str, Any]]] = {
    "contradiction": {"forks": 2},
    "ledger-fault": {"ledgers": imported(fault="The state is missing.")},
    "receipt-not-verified": {
        "receipts": [replace(RECEIPT, receipt=None, problem="It is not signed.")]
    },
    "not-admitted": {
        "bundles": [make_bundle(rules={5: ("no", "The bundle expired.")})],
    },
    "unreadable": {"unreadable": [("depot, bundle 2", "It is damaged.")]},
    "copies-differ": {"bundles": [make_bundle(differing=("bundles/b/x", "copies/2/b/x"))]},
    "key-revoked": {"roots": make_roots(**REVOKED)},
    "bundle-revoked": {"roots": make_roots(revoked_bundles=(BUNDLE,))},
    "unsigned": {"ledgers": imported(make_entry(3, "unsigned", bundle=b"u" * 32, channel=None))},
    "waived": {"ledgers": imported(make_entry(3, "waived", note="an emergency"))},
    "waiver-written": {"ledgers": imported(make_entry(3, "waiver-written"))},
    "refused": {"ledgers": imported(make_entry(3, "refused"))},
    "rejected": {"ledgers": imported(make_entry(3, "rejected"))},
    "reset": {
        "ledgers": imported(
            make_entry(
                3,
                "reset",
                bundle=None,
                channel=None,
                replaces=Replaced(4, bytes(32), b"h" * 32, bytes(32)),
            )
        )
    },
    "incomplete": {"ledgers": imported(make_entry(3, "incomplete"))},
    "gap": {
        "ledgers": [
            make_material().ledgers[0],
            make_ledger(
                [*make_material().ledgers[1].entries, make_entry(3, "carried", sequence=9)]
            ),
        ]
    },
    "unmatched": {
        "ledgers": [
            make_ledger([make_entry(1, "exported", bundle=b"o" * 32)], "exports"),
            make_ledger([make_entry(1, "imported")]),
        ]
    },
    "missing-receipt": {
        "ledgers": [
            make_ledger([make_entry(1, "exported")], "exports"),
            make_ledger([make_entry(1, "imported")]),
        ]
    },
    "unscanned": {
        "ledgers": imported(make_entry(3, "imported", signed_by={"builder": (BOB,)})),
        "bundles": [make_bundle(signatures=())],
    },
    "stamp-missing": {"roots": make_roots(rules=AUTHORITY)},
    "stamp-expired": {"bundles": [stamped(expired=900)]},
    "stamp-not-checked": {"bundles": [stamped(problem="another authority")]},
    "not-covered": {"ledgers": imported(signed=None)},
    "not-shown": {
        "ledgers": [
            make_material().ledgers[0],
            make_ledger(make_material().ledgers[1].entries, is_whole=False),
        ]
    },
    "clock": {"ledgers": imported(make_entry(3, "checked", at=7))},
    "root-refused": {"roots": replace(make_roots(), refused=["SHA256:00"])},
}
"""What is changed in a material without an exception, by the kind that follows from it."""
WITH_IT: Final = {
    "unmatched": {"missing-receipt"},
}
"""Kinds that follow from the same change."""


def find_kinds(material: AuditMaterial) -> set[str]:
    return {one.kind for one in find_exceptions(material, join_movements(material))}


def test_where_all_is_well_there_is_none() -> None:
    assert find_kinds(make_material()) == set()


def test_each_kind_has_a_case_and_a_title() -> None:
    assert CASES.keys() == KINDS.keys()
    assert KINDS.keys() > CONTRADICTIONS


@pytest.mark.parametrize("kind", CASES)
def test_an_exception_is_found_and_no_other_one(kind: str) -> None:
    material = make_material(**CASES[kind])
    assert find_kinds(material) == {kind} | WITH_IT.get(kind, set())


@pytest.mark.parametrize("kind", CASES)
def test_a_sentence_ends_and_names_where_it_is(kind: str) -> None:
    material = make_material(**CASES[kind])
    for one in find_exceptions(material, join_movements(material)):
        assert one.statement.endswith(".")
        if one.entry is not None:
            assert one.statement.startswith(
                f"L{1 + (one.ledger is not material.ledgers[0])}, entry"
            )


def test_contradictions_come_first() -> None:
    material = make_material(**CASES["contradiction"], **CASES["clock"])
    kinds = [one.kind for one in find_exceptions(material, join_movements(material))]
    assert kinds == ["contradiction", "clock"]


def test_a_reset_without_an_intact_entry_before_says_so() -> None:
    reset = make_entry(3, "reset", bundle=None, channel=None)
    material = make_material(ledgers=imported(reset))
    (one,) = find_exceptions(material, join_movements(material))
    assert "nothing of the ledger before was intact" in one.statement


def test_a_receipt_whose_leaf_the_ledger_does_not_have_is_a_contradiction() -> None:
    proof = replace(receipts.make_proof(), index=0)
    receipt = receipts.make_receipt(bundle=BUNDLE, ledger=proof)
    material = make_material(receipts=[replace(RECEIPT, receipt=receipt)])
    assert find_kinds(material) == {"contradiction"}


def test_a_receipt_whose_checkpoint_the_ledger_does_not_lead_to_is_a_contradiction() -> None:
    """Its own entry is there; another one of those before the checkpoint was exchanged."""
    entries = make_material().ledgers[1].entries
    leaves = [hash_leaf(entry.raw) for entry in entries]
    proof = replace(receipts.make_proof(), index=0, leaf=leaves[0])
    receipt = receipts.make_receipt(bundle=BUNDLE, ledger=proof)
    true = replace(RECEIPT, receipt=receipt, size=2, root=compute_root(leaves))
    assert find_kinds(make_material(receipts=[true])) == set()
    forged = replace(true, root=compute_root([leaves[0], bytes(32)]))
    assert find_kinds(make_material(receipts=[forged])) == {"contradiction"}


def test_a_bundle_that_completes_another_needs_no_receipt() -> None:
    ledgers = [make_ledger([make_entry(1, "exported")], "exports")]
    completing = make_bundle(completes="aa" * 32)
    assert find_kinds(make_material(ledgers=ledgers, bundles=[completing])) == set()
    assert find_kinds(make_material(ledgers=ledgers)) == {"missing-receipt"}


@pytest.mark.parametrize("event", ["imported", "refused"])
def test_a_receipt_of_a_bundle_that_was_never_exported_joins_nothing(event: str) -> None:
    """A thief's bundle gets a receipt, also of its refusal, and the other side accepts it."""
    documents = {"receipt": b"r" * 32}
    imports = [make_entry(1, event), make_entry(2, "receipt-made", documents=documents)]
    accepted = [make_entry(1, "receipt-accepted", documents=documents)]
    material = make_material(
        ledgers=[make_ledger(accepted, "exports", origin=ORIGIN[:-1] + "0"), make_ledger(imports)]
    )
    (movement,) = join_movements(material)
    assert movement.partner == "not exported"
    statements = [one.statement for one in find_exceptions(material, [movement])]
    assert any("its receipt was accepted; no ledger of exports" in one for one in statements)
    alone = replace(material, ledgers=material.ledgers[:1])
    assert [one.partner for one in join_movements(alone)] == ["not exported"]
    assert "unmatched" in find_kinds(alone)


def test_a_receipt_that_nobody_accepted_confirms_nothing() -> None:
    """It was only laid beside: the approvals that a root may demand were not looked at."""
    ledgers = [make_ledger([make_entry(1, "exported")], "exports")]
    receipt = receipts.make_receipt(bundle=BUNDLE)
    beside = replace(RECEIPT, receipt=receipt, origin="x", size=1)
    material = make_material(ledgers=ledgers, receipts=[beside])
    assert [one.partner for one in join_movements(material)] == ["no receipt"]
    assert "missing-receipt" in find_kinds(material)


def test_one_ledger_is_not_joined_with_itself() -> None:
    documents = {"receipt": b"r" * 32}
    entries = [
        make_entry(1, "exported"),
        make_entry(2, "receipt-made", documents=documents),
        make_entry(3, "receipt-accepted", documents=documents),
    ]
    ledger = make_ledger(entries, "exports")
    for ledgers in ([ledger], [ledger, replace(ledger, label="L2", source="copy")]):
        material = make_material(ledgers=ledgers)
        assert [one.partner for one in join_movements(material)] == ["confirmed"]
