"""Receipts are verified with a site's root, and by the tools of others (format §29.3, §29.4)."""

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import in_toto_attestation.v1.statement_pb2 as statements
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import Key, SSlibKey

from airgap.errors import ConfigurationError, ConflictError, NotTrustedError
from airgap.format import intoto
from airgap.format.checkpoint import Checkpoint
from airgap.format.intoto import StatementEnvelope
from airgap.format.receipt import encode_receipt
from airgap.format.site_rules import ReceiptRules
from airgap.signing import public_keys
from airgap.signing.checkpoints import sign_checkpoint, verify_checkpoint
from airgap.signing.private_keys import FileSigner
from airgap.signing.receipts import add_signature, read_envelope, verify_receipt
from tests.support.receipts import (
    RECORDER,
    make_checkpoint,
    make_proof,
    make_receipt,
    make_refusal,
    make_terse,
    sign_receipt,
)
from tests.support.signers import make_root, person, private_key, team

ROOT = make_root(recorder=team("ray"), approver=team("dan eve"))
DEMANDING = replace(ROOT, rules=replace(ROOT.rules, receipts=ReceiptRules(approvals=1)))
PAYLOAD = encode_receipt(make_receipt())


@pytest.mark.parametrize("receipt", [make_receipt(), make_refusal(), make_terse()], ids=str)
def test_a_receipt_by_a_recorder_of_the_site_is_verified(receipt: object) -> None:
    assert isinstance(receipt, type(make_receipt()))
    signed = verify_receipt(sign_receipt(encode_receipt(receipt), RECORDER), ROOT)
    assert signed.receipt == receipt
    assert signed.recorders == (person("ray").key.id,)
    assert signed.checkpoint.size == 9


def test_the_approvals_that_the_root_demands_are_counted() -> None:
    raw = sign_receipt(PAYLOAD, RECORDER)
    with pytest.raises(NotTrustedError, match="0 of the 1 approvals"):
        verify_receipt(raw, DEMANDING)
    assert verify_receipt(raw, DEMANDING, demand_approvals=False).approvers == ()
    envelope = add_signature(read_envelope(raw), person("eve"))
    signed = verify_receipt(intoto.encode_envelope(envelope), DEMANDING)
    assert signed.approvers == (person("eve").key.id,)


def test_a_key_signs_a_receipt_once() -> None:
    with pytest.raises(ConflictError, match="signed by key"):
        add_signature(read_envelope(sign_receipt(PAYLOAD, RECORDER)), person("ray"))


def test_a_recorder_signs_with_ed25519() -> None:
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ConfigurationError, match="signed with Ed25519 only"):
        sign_checkpoint(Checkpoint("airgap/ward/0123456789abcdef", 1, bytes(32)), signer)


def test_a_checkpoint_is_verified_with_the_keys_that_are_given() -> None:
    point = Checkpoint("airgap/ward/0123456789abcdef", 1, bytes(32))
    note = sign_checkpoint(point, person("ray"))
    keys = {person(name).key.id: person(name).key for name in ("ann", "ray")}
    assert verify_checkpoint(note, keys, "The checkpoint") == (point, (person("ray").key.id,))
    keys.pop(person("ray").key.id)
    with pytest.raises(NotTrustedError, match="not signed by a recorder"):
        verify_checkpoint(note, keys, "The checkpoint")
    other = make_checkpoint([bytes(32)])
    with pytest.raises(NotTrustedError, match="not that of key"):
        verify_checkpoint(
            other.replace(b"\n1\n", b"\n2\n"), ROOT.signers("recorder"), "The checkpoint"
        )


def test_securesystemslib_verifies_its_envelope() -> None:
    raw = sign_receipt(PAYLOAD, RECORDER, private_key("eve"))
    keys: list[Key] = [
        SSlibKey.from_crypto(private_key(name).public_key(), keyid=person(name).key.id)
        for name in ("ray", "eve")
    ]
    envelope = Envelope.from_dict(json.loads(raw))
    assert set(envelope.verify(keys, 2)) == {key.keyid for key in keys}
    document = json.loads(raw)
    changed = PAYLOAD.replace(b"PASSED", b"FAILED")
    document["payload"] = base64.b64encode(changed).decode()
    with pytest.raises(VerificationError):
        Envelope.from_dict(document).verify(keys[:1], 1)


@pytest.mark.parametrize("receipt", [make_receipt(), make_refusal(), make_terse()], ids=str)
def test_in_toto_validates_its_statement(receipt: object) -> None:
    assert isinstance(receipt, type(make_receipt()))
    message = statements.Statement()
    json_format.Parse(encode_receipt(receipt), message)
    Statement.copy_from_pb(message).validate()


def test_openssl_verifies_it_as_the_page_says(tmp_path: Path) -> None:
    document = json.loads(sign_receipt(PAYLOAD, RECORDER))
    (tmp_path / "payload").write_bytes(base64.b64decode(document["payload"]))
    (tmp_path / "signature").write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
    (tmp_path / "recorder.pub").write_bytes(public_keys.to_pem(person("ray").key))
    script = (
        'printf "DSSEv1 28 application/vnd.in-toto+json %d " $(wc -c < payload) > signed &&'
        " cat payload >> signed && openssl pkeyutl -verify -pubin -inkey recorder.pub -rawin"
        " -in signed -sigfile signature"
    )
    for data, code in ((PAYLOAD, 0), (PAYLOAD.replace(b"PASSED", b"FAILED"), 1)):
        (tmp_path / "payload").write_bytes(data)
        ran = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, capture_output=True, check=False, timeout=20
        )
        assert ran.returncode == code, ran.stderr
    assert StatementEnvelope(PAYLOAD).signed_bytes == (tmp_path / "signed").read_bytes().replace(
        b"FAILED", b"PASSED"
    )


def test_a_proof_of_another_leaf_is_refused() -> None:
    proof = replace(make_proof(), leaf=bytes(32))
    raw = sign_receipt(encode_receipt(make_receipt(ledger=proof)), RECORDER)
    with pytest.raises(NotTrustedError, match="does not prove"):
        verify_receipt(raw, ROOT)
