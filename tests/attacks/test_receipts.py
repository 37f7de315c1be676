"""Threat model, receipts: what comes back from a site is what the site said (format §29)."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError
from airgap.flow.receipts.accept import accept_receipt
from airgap.flow.receipts.confirmations import list_held
from airgap.format import intoto, tree
from airgap.format.attachment import attachment_file
from airgap.format.checkpoint import Checkpoint
from airgap.format.ledger_view import EarlierPoint, encode_view
from airgap.format.receipt import Receipt, encode_receipt
from airgap.format.root import Root
from airgap.format.site_rules import ReceiptRules
from airgap.signing.public_keys import make_key
from airgap.signing.receipts import read_envelope
from airgap.state.receipt_store import ReceiptStore
from tests.support import receipts, signers, stores
from tests.support.receipts import (
    LEAVES,
    ORIGIN,
    RECORDER,
    change_receipt,
    make_proof,
    make_receipt,
    sign_receipt,
)
from tests.support.sides import Side
from tests.support.signers import make_root, private_key, team

ROOT = make_root(recorder=team("ray"), approver=team("dan eve"))
FORKED = (*LEAVES[:5], *(tree.hash_leaf(b"other %d" % number) for number in range(30)))
OTHER = "airgap/ward/ffffffffffffffff"
PATH = "airgap/ward/../../../escaped"
"""Its last 16 digits, which name a file, would lead out of the folder."""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRGAP_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def sign(receipt: Receipt) -> bytes:
    return sign_receipt(encode_receipt(receipt), RECORDER)


def at(size: int, *holds: str, leaves: tuple[bytes, ...] = LEAVES, origin: str = ORIGIN) -> bytes:
    """Sign a receipt of a ledger of ``size`` entries, of which every second one was a receipt."""
    earlier = list(range(2, size, 2))[::-1][:16]
    proof = make_proof(leaves[:size], earlier=earlier, origin=origin)
    return sign(make_receipt(ledger=proof, holds=tuple(sorted(holds))))


def refuse(raw: bytes, error: type[AirgapError], words: str, root: Root = ROOT) -> None:
    """Demand that a receipt is refused, and that nothing that was accepted has changed."""
    before = ReceiptStore("ward").list_accepted()
    with pytest.raises(error, match=words):
        accept_receipt(raw, root)
    assert ReceiptStore("ward").list_accepted() == before


def change_payload(raw: bytes) -> bytes:
    document = json.loads(raw)
    payload = base64.b64decode(document["payload"]).replace(b"imported", b"waived")
    document["payload"] = base64.b64encode(payload).decode()
    return intoto.encode_json(document) + b"\n"


FORGED: dict[str, Callable[[], bytes]] = {
    "by nobody of the site": lambda: sign_receipt(
        encode_receipt(make_receipt()), private_key("mallory")
    ),
    "by a builder": lambda: sign_receipt(encode_receipt(make_receipt()), private_key("bob")),
    "by an approver alone": lambda: sign_receipt(
        encode_receipt(make_receipt()), private_key("eve")
    ),
    "with another payload": lambda: change_payload(sign(make_receipt())),
    "with a checkpoint of somebody else": lambda: sign(
        make_receipt(
            ledger=replace(
                make_proof(),
                checkpoint=receipts.make_checkpoint(LEAVES[:9], key=private_key("mallory")),
            )
        )
    ),
    "with a ledger of another site": lambda: sign(
        make_receipt(ledger=make_proof(origin="airgap/clinic/0123456789abcdef"))
    ),
    "of another site": lambda: sign(make_receipt(site="clinic")),
    "with a path for a ledger": lambda: sign(make_receipt(ledger=make_proof(origin=PATH))),
    "with a ledger of other digits": lambda: sign(
        make_receipt(ledger=make_proof(origin="airgap/ward/ZZZZZZZZZZZZZZZZ"))
    ),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_receipt_is_not_trusted(kind: str) -> None:
    refuse(
        FORGED[kind](), NotTrustedError, "recorder|not that of|does not match|of site|of the site"
    )


def test_a_revoked_recorder_confirms_nothing() -> None:
    revoked = make_root(2, recorder=team("ray rob"), revoked="ray")
    refuse(sign(make_receipt()), NotTrustedError, "not signed by a recorder", revoked)


def test_an_older_receipt_that_is_sent_again_takes_back_nothing() -> None:
    held, more = "aa" * 32, "bb" * 32
    old = at(4, held)
    accept_receipt(old, ROOT)
    accept_receipt(at(8, held, more), ROOT)
    assert accept_receipt(old, ROOT).is_new is False
    late = accept_receipt(at(6, held), ROOT)
    assert (late.continuity, late.gone) == ("older", ())
    assert set(list_held("ward").bundles) == {held, more}


def test_of_two_receipts_of_one_size_neither_adds_what_the_other_lacks() -> None:
    accept_receipt(at(8, "aa" * 32), ROOT)
    accepted = accept_receipt(at(8, "aa" * 32, "bb" * 32), ROOT)
    assert accepted.continuity == "same"
    assert list_held("ward").bundles == ("aa" * 32,)


@pytest.mark.parametrize("size", [6, 8, 10, 12])
def test_two_checkpoints_that_contradict_each_other_are_kept_as_evidence(size: int) -> None:
    accept_receipt(at(8), ROOT)
    forked = at(size, leaves=FORKED)
    refuse(forked, NotTrustedError, "was rewritten")
    (folder,) = ReceiptStore("ward").list_evidence()
    assert (folder / "new.receipt.json").read_bytes() == forked
    assert (folder / "kept.receipt.json").read_bytes() == at(8)


def test_a_ledger_that_was_reset_is_accepted_only_if_a_person_says_so() -> None:
    accept_receipt(at(8, "aa" * 32), ROOT)
    new = at(4, "bb" * 32, origin=OTHER)
    refuse(new, PolicyError, "the site is known by")
    accept_receipt(new, ROOT, "replaces")
    assert list_held("ward").bundles == ("bb" * 32,)


def test_a_ledger_that_was_replaced_confirms_what_was_judged_before_and_nothing_later() -> None:
    accept_receipt(at(8, "aa" * 32), ROOT)
    accept_receipt(at(4, "bb" * 32, origin=OTHER), ROOT, "replaces")

    late = accept_receipt(at(10, "aa" * 32), ROOT, "replaces")

    assert (late.is_new, late.is_replaced, late.gone) == (True, True, ())
    assert list_held("ward").bundles == ("bb" * 32,)
    proof = make_proof(LEAVES[:12], earlier=[10, 8, 6, 4, 2])
    later = sign(make_receipt(ledger=proof, verified_at="2026-11-30T12:00:01Z"))
    refuse(later, PolicyError, "the site is known by")


def test_of_another_machine_of_the_site_only_what_both_hold_counts() -> None:
    accept_receipt(at(8, "aa" * 32, "bb" * 32), ROOT)
    accept_receipt(at(4, "bb" * 32, "cc" * 32, origin=OTHER), ROOT, "beside")
    assert list_held("ward").bundles == ("bb" * 32,)


def test_a_receipt_from_long_before_waits_for_those_in_between() -> None:
    accept_receipt(at(2), ROOT)
    refuse(at(40), PolicyError, "Accept the receipts in between first|cannot be compared")
    accept_receipt(at(20), ROOT)
    accept_receipt(at(40), ROOT)


@pytest.mark.parametrize("text", ["\x1b[2J", "\x07", "a\u202eb", "a\nb", "\u2028"], ids=ascii)
def test_a_receipt_whose_texts_control_a_terminal_is_refused(text: str) -> None:
    for change in (
        lambda document: document["subject"][1].update(name=text),
        lambda document: document["predicate"]["verifier"]["version"].update(airgap=text),
        lambda document: document["predicate"]["airgap:receipt/v1"].update(note=text),
        lambda document: document["predicate"]["inputAttestations"][0].update(uri=text),
    ):
        raw = sign_receipt(change_receipt(change), RECORDER)
        refuse(raw, CorruptError, "not printable")


def test_a_giant_receipt_is_refused_before_it_is_decoded() -> None:
    refuse(b"{" * 300_000, CorruptError, "has 300,000 bytes")
    large = sign_receipt(b'{"a":"' + b"x" * 70_000 + b'"}', RECORDER)
    refuse(large, CorruptError, "at most 65,536 are allowed")
    many = sign_receipt(b"{}", *[RECORDER] * 65)
    refuse(many, CorruptError, "has 65 signatures")


def test_a_receipt_without_the_approvals_that_are_demanded_is_refused() -> None:
    demanding = replace(ROOT, rules=replace(ROOT.rules, receipts=ReceiptRules(approvals=2)))
    payload = encode_receipt(make_receipt())
    eve, dan = private_key("eve"), private_key("dan")
    for keys in ((), (eve,), (eve, eve), (eve, private_key("bob"))):
        raw = sign_receipt(payload, RECORDER, *keys)
        refuse(raw, NotTrustedError, "of the 2 approvals", demanding)
    assert accept_receipt(sign_receipt(payload, RECORDER, eve, dan), demanding).is_new


def test_an_approval_of_another_receipt_does_not_count() -> None:
    demanding = replace(ROOT, rules=replace(ROOT.rules, receipts=ReceiptRules(approvals=1)))
    approved = read_envelope(sign_receipt(encode_receipt(make_receipt()), private_key("eve")))
    other = read_envelope(sign(make_receipt(holds=())))
    moved = replace(other, signatures=(*other.signatures, *approved.signatures))
    refuse(intoto.encode_envelope(moved), NotTrustedError, "does not match", demanding)


def test_a_sender_that_was_restored_finds_out_by_a_receipt() -> None:
    """What the site has seen of this machine's ledger of exports is not in that ledger."""
    accept_receipt(at(2), ROOT)  # begins the ledger of exports
    ledger = Path(f"{ReceiptStore('ward').folder}/../../ledgers/ward/exporting/ledger").resolve()
    assert ledger.is_file()
    from airgap.flow.receipts.witness import name_ledger

    seen = Checkpoint(name_ledger("ward", "exporting"), 9, bytes(32))
    raw = sign(make_receipt(ledger=make_proof(LEAVES[:4], earlier=[2]), witnessed=(seen,)))
    with pytest.raises(NotTrustedError, match="this machine's ledger of exports"):
        accept_receipt(raw, ROOT)
    assert len(ReceiptStore("ward").list_evidence()) == 1


def test_a_proof_that_leads_to_another_root_is_evidence() -> None:
    accept_receipt(at(4), ROOT)
    lie = EarlierPoint(4, tuple(bytes(32) for _ in range(3)))
    raw = sign(make_receipt(ledger=replace(make_proof(LEAVES[:8]), earlier=(lie,))))
    refuse(raw, NotTrustedError, "was rewritten")


def test_a_checkpoint_beside_a_bundle_names_no_file_by_a_path(tmp_path: Path) -> None:
    connected, isolated = Side(tmp_path / "connected"), Side(tmp_path / "isolated")
    for side in (connected, isolated):
        side.top.mkdir()
        signers.pin(side, replace(make_root(recorder=team("ray")), created_at=0))
    builder = signers.write_key(tmp_path, "bob")
    stores.add_model(connected, "ranker:v1", {"weights.bin": b"x" * 1000})
    export = ("export", "--model", "ranker:v1", "-o", tmp_path / "depot", "--key", builder)
    assert connected.run(*export).code == 0
    (folder,) = (tmp_path / "depot/bundles").iterdir()
    note = receipts.make_checkpoint(LEAVES[:3], origin=PATH)
    key_id = make_key(RECORDER.public_key()).id
    file = folder / attachment_file("0123456789abcdef", key_id, "checkpoint")
    file.write_bytes(encode_view(note, ()))

    ran = isolated.run("import", tmp_path / "depot")

    assert ran.code == 0, ran.err
    assert "is passed over" in ran.err
    assert not [*tmp_path.rglob("*escaped*")]
    with isolated.here():
        assert not ReceiptStore("ward").read_witnessed()
        with pytest.raises(ValueError, match="not the last digits"):
            ReceiptStore("ward").write_witnessed(PATH[-16:], b"")
