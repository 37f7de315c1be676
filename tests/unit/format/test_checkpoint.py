"""Checkpoints, signed notes and proofs (format §28.3, §28.4)."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.errors import CorruptError
from airgap.format import checkpoint, tree_proof
from airgap.format.checkpoint import Checkpoint, NoteSignature
from airgap.format.tree_proof import ConsistencyProof, InclusionProof

ROOT = bytes(range(32))
POINT = Checkpoint("airgap/ward/0123456789abcdef", 17, ROOT)
SIGNATURE = NoteSignature(POINT.origin, b"abcd", bytes(64))
NOTE = checkpoint.add_signature(POINT.text, SIGNATURE)


def test_a_note_is_what_it_was_written_as() -> None:
    witness = NoteSignature("witness.example", b"wxyz", bytes(72))
    note = checkpoint.parse_note(checkpoint.add_signature(NOTE, witness), "n")
    assert note.text == POINT.text
    assert note.signatures == (SIGNATURE, witness)
    assert checkpoint.parse_checkpoint(note.text, "n") == POINT


def test_its_bytes_are_those_of_the_specification() -> None:
    lines = NOTE.decode().split("\n")
    root, signature = (
        base64.b64encode(ROOT).decode(),
        base64.b64encode(b"abcd" + bytes(64)).decode(),
    )
    assert lines == [POINT.origin, "17", root, "", f"— {POINT.origin} {signature}", ""]


def test_the_key_hash_is_that_of_a_known_key() -> None:
    """The example of the Go package that defined signed notes."""
    key = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert checkpoint.compute_key_hash("PeterNeumann", key[1:]).hex() == "c74f20a3"


def test_lines_behind_the_root_have_no_meaning() -> None:
    assert checkpoint.parse_checkpoint(POINT.text + b"more\n", "n") == POINT


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (NOTE[:-1], "no signature"),
        (POINT.text, "no signature"),
        (NOTE.replace("—".encode(), b"-"), "not a signature"),
        (NOTE + b"x\n", "not a signature"),
        (NOTE.replace(b"17", b"1\r7"), "control characters"),
        (NOTE + b"\xff", "not UTF-8"),
        (NOTE + b" " * 70_000, "has 70,"),
        (POINT.text + b"\n" + NOTE.split(b"\n\n")[1] * 17, "has 17 signatures"),
        (
            checkpoint.add_signature(POINT.text, NoteSignature("a+b", b"abcd", b"x")),
            "not a signature",
        ),
        (checkpoint.add_signature(POINT.text, NoteSignature("a", b"abc", b"")), "not a signature"),
        (NOTE[:-2] + b"!\n", "not base64"),
    ],
)
def test_what_is_no_note_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(CorruptError, match=problem):
        checkpoint.parse_note(raw, "n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"a\n1\n", "not a checkpoint"),
        (b"\n1\n" + base64.b64encode(ROOT) + b"\n", "not a checkpoint"),
        (b"a\n01\n" + base64.b64encode(ROOT) + b"\n", "how many entries"),
        (b"a\n-1\n" + base64.b64encode(ROOT) + b"\n", "how many entries"),
        (b"a\n1\n" + base64.b64encode(ROOT[1:]) + b"\n", "root of 31 bytes"),
        (b"a\n1\n???\n", "not base64"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(CorruptError, match=problem):
        checkpoint.parse_checkpoint(text, "n")


def test_proofs_are_what_they_were_written_as() -> None:
    inclusion = InclusionProof(5, (ROOT, ROOT[::-1]), NOTE)
    consistency = ConsistencyProof(5, (), NOTE)
    raw = tree_proof.encode_inclusion(inclusion)
    assert raw.startswith(b"c2sp.org/tlog-proof@v1\nindex 5\n")
    assert tree_proof.decode_inclusion(raw, "p") == inclusion
    extra = raw.replace(b"index", b"extra AAAA\nindex")
    assert tree_proof.decode_inclusion(extra, "p") == inclusion
    assert (
        tree_proof.decode_consistency(tree_proof.encode_consistency(consistency), "p")
        == consistency
    )


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "not a proof"),
        (b"old 1\n", "not a proof"),
        (b"old 01\n\n" + NOTE, "not a proof"),
        (b"new 1\n\n" + NOTE, "not a proof"),
        (b"old 1\n\xff\n\n" + NOTE, "not a proof"),
        (b"old 1\n" + base64.b64encode(ROOT[1:]) + b"\n\n" + NOTE, "else than digests"),
        (b"old 1\n" + (base64.b64encode(ROOT) + b"\n") * 64 + b"\n" + NOTE, "else than digests"),
        (b"old 1\n?\n\n" + NOTE, "not base64"),
        (b"old 1\n\n" + bytes(90_000), "bytes"),
    ],
)
def test_what_is_no_proof_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(CorruptError, match=problem):
        tree_proof.decode_consistency(raw, "p")


def test_an_origin_is_that_of_the_first_entry() -> None:
    origin = checkpoint.make_origin("ward", b"first entry")
    assert origin == "airgap/ward/" + hashlib.sha256(b"first entry").hexdigest()[:16]


def test_a_signature_verifies_over_the_text() -> None:
    key = Ed25519PrivateKey.generate()
    raw = checkpoint.add_signature(
        POINT.text, NoteSignature(POINT.origin, b"abcd", key.sign(POINT.text))
    )
    note = checkpoint.parse_note(raw, "n")
    key.public_key().verify(note.signatures[0].signature, note.text)
