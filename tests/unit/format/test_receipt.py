"""Receipts: one form, bounded, and every text in it can be read (format §29.2, §29.6)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import CorruptError, UsageError
from airgap.format import checkpoint as checkpoints
from airgap.format import limits
from airgap.format.checkpoint import Checkpoint
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import (
    EXTENSION,
    Receipt,
    ReceiptItem,
    encode_receipt,
    make_levels,
    receipt_file,
    shorten,
)
from airgap.format.receipt_note import make_note, note_lines, parse_note
from tests.support.receipts import (
    BUNDLE,
    LEAVES,
    change_receipt,
    make_proof,
    make_receipt,
    make_refusal,
    make_terse,
)

KINDS = {
    "of an import": make_receipt(),
    "of a refusal": make_refusal(),
    "with a note": make_receipt(note="numbers 3 to 5 did not come"),
    "that is terse": make_terse(),
    "of the first entry": make_receipt(ledger=make_proof(LEAVES[:1], earlier=())),
    "by a waiver": make_receipt(event="waived", levels=make_levels({"builder": 1}, waived=True)),
}
DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_receipt_is_read_as_it_was_written(kind: str) -> None:
    assert decode_receipt(encode_receipt(KINDS[kind])) == KINDS[kind]


def test_it_is_slsa_summary_of_a_verification() -> None:
    document = json.loads(encode_receipt(make_receipt()))
    predicate = document["predicate"]
    assert document["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert document["subject"][0] == {"name": "bundle", "digest": {"sha256": BUNDLE.hex()}}
    assert predicate["verifier"] == {"id": "airgap:site/ward", "version": {"airgap": "0.2.0"}}
    assert predicate["resourceUri"] == "airgap:channel/production#7"
    assert predicate["policy"]["uri"] == "airgap:root/ward/3"
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"] == ["AIRGAP_APPROVERS_1", "AIRGAP_BUILDERS_2"]
    refused = json.loads(encode_receipt(make_refusal()))["predicate"]
    assert (refused["verificationResult"], refused["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_a_terse_receipt_names_nothing_but_the_bundle_id() -> None:
    text = encode_receipt(make_terse()).decode()
    assert f'"airgap:bundle/{BUNDLE.hex()}"' in text
    for name in ("production", "ranker", "shop", "builder.", "items", "gaps", "outcomes"):
        assert name not in text


def test_its_file_is_named_after_site_channel_number_bundle_and_entry() -> None:
    digits = BUNDLE.hex()[:16]
    assert receipt_file(make_receipt()) == f"ward.production.7.{digits}.9.receipt.json"
    assert receipt_file(make_terse()) == f"ward.{digits}.9.receipt.json"


def change_extension(**members: Any) -> Callable[[dict[str, Any]], object]:  # noqa: ANN401
    return lambda document: document["predicate"][EXTENSION].update(members)


def change_predicate(**members: Any) -> Callable[[dict[str, Any]], object]:  # noqa: ANN401
    return lambda document: document["predicate"].update(members)


def change_ledger(**members: Any) -> Callable[[dict[str, Any]], object]:  # noqa: ANN401
    return lambda document: document["predicate"][EXTENSION]["ledger"].update(members)


PATH = {"path": [], "size": 4}
SIGNED = ["\N{EM DASH} ray AAAAAAA="]
SEEN = {"origin": "airgap/ward/0123456789abcdef", "root": "A" * 43 + "=", "size": 1}
WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "another predicate": lambda document: document.update(predicateType="https://slsa.dev/x"),
    "another member": lambda document: document.update(more=1),
    "no subject": lambda document: document.update(subject=[]),
    "a subject with more in it": lambda document: document["subject"][1].update(uri="x"),
    "a subject without a name": lambda document: document["subject"][1].pop("name"),
    "a subject of another name": lambda document: document["subject"][0].update(name="x"),
    "a digest in capitals": lambda document: document["subject"][0].update(
        digest={"sha256": BUNDLE.hex().upper()}
    ),
    "no digest of an item": lambda document: document["subject"][1].update(digest={"x": "00"}),
    "another member of the predicate": change_predicate(more=1),
    "a missing member": lambda document: document["predicate"].pop("policy"),
    "a result that lies": change_predicate(verificationResult="FAILED"),
    "no resource": change_predicate(resourceUri="airgap:channel/PRODUCTION#7"),
    "a number with zeros before it": change_predicate(resourceUri="airgap:channel/production#07"),
    "another verifier": change_predicate(verifier={"id": "x", "version": {"airgap": "0.2.0"}}),
    "a version that is a number": change_predicate(
        verifier={"id": "airgap:site/ward", "version": {"airgap": 1}}
    ),
    "another policy": change_predicate(policy={"uri": "airgap:root/ward/0", "digest": {}}),
    "a time in another zone": change_predicate(timeVerified="2026-11-30T12:00:00+01:00"),
    "levels of others": change_predicate(verifiedLevels=["SLSA_BUILD_LEVEL_3"]),
    "a failure that passed": change_predicate(verifiedLevels=["FAILED"]),
    "levels that are not sorted": change_predicate(
        verifiedLevels=["AIRGAP_BUILDERS_2", "AIRGAP_APPROVERS_1"]
    ),
    "evidence without a digest": change_predicate(inputAttestations=[{"uri": "x"}]),
    "evidence that is text": change_predicate(inputAttestations=["x"]),
    "a long name of evidence": change_predicate(
        inputAttestations=[{"uri": "x" * 500, "digest": {"sha256": DIGITS}}]
    ),
    "an unknown event": change_extension(event="exported"),
    "a reason without a refusal": change_extension(reason="policy"),
    "a reason of many words": change_extension(reason="you were hacked", event="refused"),
    "a hold that is not an id": change_extension(holds=["x"]),
    "holds that are not sorted": change_extension(holds=["ff" * 32, "00" * 32]),
    "too many holds": change_extension(holds=[f"{n:064x}" for n in range(201)]),
    "a gap that is text": change_extension(gaps=["3-5"]),
    "a gap of booleans": change_extension(gaps=[[True, True]]),
    "an outcome too few": change_extension(outcomes=["installed"]),
    "an unknown outcome": change_extension(outcomes=["installed", "sold"]),
    "an outcome that is a list": change_extension(outcomes=["installed", []]),
    "fewer items than subjects": change_extension(items=1),
    "an empty note": change_extension(note=""),
    "a note of two lines": change_extension(note="one\ntwo"),
    "a note that clears the terminal": change_extension(note="\x1b[2J"),
    "a note that turns the text around": change_extension(note="a\u202eb"),
    "a witnessed origin of text": change_extension(witnessed=[{**SEEN, "origin": "x"}]),
    "a witnessed root that is short": change_extension(witnessed=[{**SEEN, "root": "AAAA"}]),
    "a witnessed root that is a number": change_extension(witnessed=[{**SEEN, "root": 1}]),
    "a checkpoint that is text": change_ledger(checkpoint="x"),
    "a checkpoint of numbers": change_ledger(checkpoint=[1]),
    "a checkpoint without lines": change_ledger(checkpoint=[]),
    "a checkpoint of two lines": change_ledger(checkpoint=["a", "b"]),
    "a checkpoint whose size is a word": change_ledger(
        checkpoint=["airgap/ward/0123456789abcdef", "five", "A" * 43 + "=", "", *SIGNED]
    ),
    "a checkpoint with a giant size": change_ledger(
        checkpoint=["airgap/ward/0123456789abcdef", "9" * 5000, "A" * 43 + "=", "", *SIGNED]
    ),
    "a negative index": change_ledger(index=-1),
    "an index that is true": change_ledger(index=True),
    "a leaf that is not base64": change_ledger(leaf="?"),
    "a path of numbers": change_ledger(inclusion=[1]),
    "a path without end": change_ledger(inclusion=["A" * 43 + "="] * 64),
    "proofs that are not sorted": change_ledger(consistency=[PATH, {**PATH, "size": 7}]),
    "two proofs of one size": change_ledger(consistency=[PATH, PATH]),
    "too many proofs": change_ledger(
        consistency=[{**PATH, "size": size} for size in range(30, 12, -1)]
    ),
    "a ledger with more in it": change_ledger(more=1),
}


@pytest.mark.parametrize("change", WRONG)
def test_a_receipt_is_refused_with(change: str) -> None:
    with pytest.raises(CorruptError, match=r"^The receipt .*\.$"):
        decode_receipt(change_receipt(WRONG[change]))


def test_another_order_or_spaces_are_refused() -> None:
    document = json.loads(encode_receipt(make_receipt()))
    for raw in (
        json.dumps(document, sort_keys=True).encode(),
        json.dumps(document, separators=(",", ":")).encode(),
        json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode(),
        encode_receipt(make_receipt()) + b"\n",
    ):
        with pytest.raises(CorruptError):
            decode_receipt(raw)


def test_a_giant_is_refused_before_it_is_read() -> None:
    with pytest.raises(CorruptError, match=r"has 65,537 bytes; at most 65,536 are allowed"):
        decode_receipt(b"[" * (limits.RECEIPT_BYTES + 1))


def test_a_receipt_of_many_items_names_as_many_as_fit() -> None:
    items = tuple(
        ReceiptItem(f"model {'m' * 60}-{number}:v1", BUNDLE, "installed") for number in range(1000)
    )
    evidence = tuple((f"builder.{number:064x}.dsse", BUNDLE) for number in range(64))
    full = make_receipt(items=items, item_count=1000, evidence=evidence)
    short = shorten(full)
    assert len(encode_receipt(short)) <= limits.RECEIPT_BYTES
    assert 0 < len(short.items) < 1000
    assert (short.item_count, short.evidence) == (1000, evidence)
    assert decode_receipt(encode_receipt(short)) == short


def test_what_is_left_of_the_largest_receipt_fits() -> None:
    long = ReceiptItem("m" * 400, BUNDLE, "already there")
    receipt = make_receipt(
        items=(long,) * 300,
        item_count=300,
        evidence=(("e" * 400, BUNDLE),) * 64,
        holds=tuple(f"{number:064x}" for number in range(200)),
        note="n" * 1000,
        ledger=make_proof(earlier=()),
    )
    many = Checkpoint("airgap/ward/0123456789abcdef", 5, BUNDLE)
    receipt = shorten(make_receipt_with(receipt, witnessed=(many,) * 16))
    assert len(encode_receipt(receipt)) <= limits.RECEIPT_BYTES


def make_receipt_with(receipt: Receipt, **changes: Any) -> Receipt:  # noqa: ANN401
    from dataclasses import replace

    return replace(receipt, **changes)


@settings(max_examples=30, deadline=None)
@given(
    holds=st.sets(st.binary(min_size=32, max_size=32), max_size=5),
    gaps=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), max_size=4),
    note=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=20),
    sequence=st.integers(0, limits.INTEGER),
    size=st.integers(1, len(LEAVES)),
)
def test_any_receipt_is_read_as_it_was_written(
    holds: set[bytes], gaps: list[tuple[int, int]], note: str, sequence: int, size: int
) -> None:
    receipt = make_receipt(
        holds=tuple(sorted(digest.hex() for digest in holds)),
        gaps=tuple(gaps),
        note=note,
        sequence=sequence,
        ledger=make_proof(LEAVES[:size], earlier=[n for n in (30, 20, 1) if n <= size]),
    )
    assert decode_receipt(encode_receipt(receipt)) == receipt


def read_checkpoint(receipt: Receipt) -> Checkpoint:
    note = checkpoints.parse_note(receipt.ledger.checkpoint, "n")
    return checkpoints.parse_checkpoint(note.text, "n")


def test_a_note_of_five_lines_is_read_as_it_was_read_out() -> None:
    receipt = make_receipt()
    note = make_note(receipt, read_checkpoint(receipt))
    lines = note_lines(note, "ward")
    assert len(lines) == 5
    assert lines[0] == f"bundle {BUNDLE.hex()[:16]}"
    assert parse_note("\n".join(lines), "ward") == note
    assert parse_note(" ".join(lines).upper().replace("ROOT", " root "), "ward") == note


def test_a_note_that_was_misheard_is_refused() -> None:
    receipt = make_refusal()
    lines = note_lines(make_note(receipt, read_checkpoint(receipt)), "ward")
    text = " ".join(lines)
    assert "failed" in text
    for wrong in (text.replace("failed", "passed"), text.replace("ledger 9", "ledger 8")):
        with pytest.raises(UsageError, match="check digits"):
            parse_note(wrong, "ward")
    with pytest.raises(UsageError, match="check digits"):
        parse_note(text, "warp")
    with pytest.raises(UsageError, match="check digits"):
        parse_note(text.replace(lines[2], lines[2][:-2]), "ward")
    with pytest.raises(UsageError, match="not the note"):
        parse_note("x" * 5000, "ward")
