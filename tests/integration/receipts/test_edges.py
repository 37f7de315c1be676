"""Receipts where something is in the way, and what is read of them without a command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.disk import durable
from airgap.errors import (
    ConfigurationError,
    CorruptError,
    MissingError,
    NotTrustedError,
    StorageError,
)
from airgap.flow.receipts import confirmations, make
from airgap.flow.receipts.accept import accept_note, accept_receipt, load_root, read_receipt_file
from airgap.flow.receipts.approve import approve_receipt
from airgap.format import checkpoint as checkpoints
from airgap.format import intoto
from airgap.format.read_receipt import decode_receipt
from airgap.format.receipt import Receipt, encode_receipt
from airgap.format.receipt_note import make_note, note_lines
from airgap.signing.receipts import read_envelope
from airgap.state import exported_manifests
from airgap.state.receipt_store import ReceiptStore, list_sites
from tests.support import forge
from tests.support.receipts import BUNDLE, RECORDER, make_receipt, make_refusal, sign_receipt
from tests.support.sides import Side, Site, run_cli
from tests.support.signers import make_root, person, team, write_root

EMPTY = forge.sha256(b"b").hex()[:16]
ROOT = make_root(recorder=team("ray"), approver=team("dan eve"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AIRGAP_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path / "AIRGAP_HOME"


def write_receipt(folder: Path) -> Path:
    path = folder / "unapproved" / "ward.receipt.json"
    path.parent.mkdir()
    path.write_bytes(sign_receipt(encode_receipt(make_receipt()), RECORDER))
    return path


def test_gaps_are_the_runs_of_numbers_that_never_came() -> None:
    assert make._find_gaps([9, 1, 2, 0, 5, 9]) == ((3, 4), (6, 8))
    assert make._find_gaps(range(1, 200, 2))[0] == (136, 136)
    assert make._find_gaps([]) == ()


def test_a_bundle_without_an_audience_counts_for_the_sites_that_are_known() -> None:
    manifests = [
        forge.draft(forge.model({"w": b"1"}), channel="nightly", sequence=3).raw(),
        forge.draft(forge.model({"w": b"2"}), audience=["clinic"]).raw(),
    ]
    for raw in manifests:
        exported_manifests.save_exported(forge.sha256(raw).hex(), raw)
        exported_manifests.save_exported(forge.sha256(raw).hex(), raw)
    (row,) = confirmations.list_unconfirmed()
    assert row.site == "clinic"
    accept_receipt(sign_receipt(encode_receipt(make_refusal()), RECORDER), ROOT)
    assert list_sites() == ["ward"]
    assert {row.site for row in confirmations.list_unconfirmed()} == {"clinic", "ward"}
    (row,) = confirmations.list_unconfirmed("ward")
    assert (row.channel, row.sequence) == ("nightly", 3)


def test_a_manifest_that_was_damaged_is_not_known(home: Path) -> None:
    raw = forge.draft(forge.model({"w": b"1"})).raw()
    bundle = forge.sha256(raw).hex()
    exported_manifests.save_exported(bundle, raw)
    assert exported_manifests.load_exported(bundle) is not None
    (home / "exported" / f"{bundle}.msgpack").write_bytes(raw[:-1])
    assert exported_manifests.load_exported(bundle) is None
    assert confirmations.list_unconfirmed() == []


def test_a_site_that_holds_nothing_of_this_machine_is_no_base() -> None:
    with pytest.raises(MissingError, match="No receipt of site ward"):
        confirmations.find_bases("ward")
    accept_receipt(sign_receipt(encode_receipt(make_receipt()), RECORDER), ROOT)
    with pytest.raises(MissingError, match="none that was exported here"):
        confirmations.find_bases("ward")


def test_what_is_known_of_ledgers_must_be_readable() -> None:
    store = ReceiptStore("ward")
    for text in (b"{", b"[]", b'{"a": 1}'):
        store.write(store.folder / "ledgers.json", text)
        with pytest.raises(StorageError, match="is damaged"):
            store.list_ledgers()


def test_a_file_that_is_no_receipt_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_receipt_file(tmp_path / "nothing")
    (tmp_path / "giant").write_bytes(bytes(300_000))
    with pytest.raises(ConfigurationError, match="longer than 262,144 bytes"):
        read_receipt_file(tmp_path / "giant")
    raw = json.dumps(json.loads(sign_receipt(b"{}", RECORDER))).encode()
    with pytest.raises(CorruptError, match="not in the form"):
        read_envelope(raw)


def test_a_root_is_taken_from_a_file_or_is_the_pinned_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="trusts nobody") as error:
        load_root(None)
    assert "--root" in error.value.hint
    root = replace(ROOT, created_at=7)
    write_root(tmp_path / "root.msgpack", root, "ann")
    assert load_root(tmp_path / "root.msgpack") == root


def test_without_a_root_an_approval_is_added_and_nothing_is_moved(tmp_path: Path) -> None:
    path = write_receipt(tmp_path)
    seen: list[Receipt] = []
    approved = approve_receipt(path, person("eve"), seen.append)
    assert seen == [make_receipt()]
    assert (approved.path, approved.approvals, approved.demanded) == (path, 1, None)
    assert not approved.may_leave
    keys = [signature.key_id for signature in read_envelope(path.read_bytes()).signatures]
    assert keys == [person("ray").key.id, person("eve").key.id]
    ran = run_cli(["receipt", "approve", path, "--key", "nothing.key"], {})
    assert ran.code == 3


def test_a_note_that_contradicts_a_receipt_is_refused() -> None:
    raw = sign_receipt(encode_receipt(make_receipt()), RECORDER)
    accept_receipt(raw, ROOT)
    receipt = decode_receipt(read_envelope(raw).payload)
    note = checkpoints.parse_note(receipt.ledger.checkpoint, "n")
    point = checkpoints.parse_checkpoint(note.text, "n")
    right = make_note(receipt, point)
    assert accept_note("\n".join(note_lines(right, "ward")), "ward").bundles == ()
    wrong = note_lines(replace(right, root=bytes(32)), "ward")
    with pytest.raises(NotTrustedError, match="another root"):
        accept_note(" ".join(wrong), "ward")
    rows = confirmations.list_confirmations()
    assert [(row.bundle, row.ledger != "") for row in rows] == [
        (BUNDLE.hex(), True),
        (BUNDLE.hex()[:16], False),
    ]


@pytest.mark.parametrize(
    "words",
    [[], ["--note", "x"], ["--site", "ward"], ["--site", "ward", "--note", "x", "file"]],
    ids=" ".join,
)
def test_what_is_to_be_accepted_must_be_said(words: list[str]) -> None:
    assert run_cli(["receipt", "accept", *words], {}).code == 2


def test_a_receipt_whose_signature_was_damaged_is_refused() -> None:
    envelope = read_envelope(sign_receipt(encode_receipt(make_receipt()), RECORDER))
    other = read_envelope(sign_receipt(b"{}", RECORDER))
    moved = intoto.encode_envelope(replace(envelope, signatures=other.signatures))
    with pytest.raises(NotTrustedError, match="does not match"):
        accept_receipt(moved, ROOT)


def test_evidence_that_cannot_be_kept_is_an_error_of_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "replace_file", refuse)
    with pytest.raises(StorageError):
        ReceiptStore("ward").keep_evidence({"a": b"b"})
    assert ReceiptStore("ward").list_evidence() == [
        ReceiptStore("ward").folder / "evidence" / EMPTY
    ]


def test_without_any_receipt_no_bundle_is_called_confirmed(
    small: Side, site: Site, tmp_path: Path
) -> None:
    assert small.run("export", "shop", "-o", tmp_path / "depot", "--key", site.key()).code == 0

    out = small.run("receipt", "list", "--missing").out

    assert out.startswith("No receipt was accepted on this machine.\n")
    assert "is confirmed" not in out
