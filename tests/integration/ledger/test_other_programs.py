"""The Go project's own packages check what is written of a ledger (format §28)."""

import base64
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format import checkpoint, tree, tree_proof
from airgap.format.checkpoint import Checkpoint, NoteSignature
from airgap.format.tree_proof import ConsistencyProof, InclusionProof
from tests.support.recorded_site import RecordedSite

pytestmark = pytest.mark.servers

GO: Final = Path("/usr/lib/go-1.19/bin/go")
PACKAGES: Final = Path("/usr/share/gocode")
Check = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    if not (GO.exists() and (PACKAGES / "src/golang.org/x/mod/sumdb/tlog").exists()):
        pytest.skip("needs golang-1.19-go and golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    environment = os.environ | {
        "GOPATH": str(PACKAGES),
        "GO111MODULE": "off",
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
    }
    source = Path(__file__).with_name("check.go")
    program = folder / "check"
    subprocess.run([GO, "build", "-o", program, source], env=environment, check=True, timeout=250)

    def run(files: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program, files], capture_output=True, text=True, check=False, timeout=60
        )

    return run


def write(folder: Path, size: int, old: int, index: int) -> None:
    """Write a ledger's checkpoint, an older one, and both proofs, as an auditor gets them."""
    entries = [
        hashlib.sha256(bytes([number % 251])).digest() + bytes([number]) for number in range(size)
    ]
    leaves = [tree.hash_leaf(entry) for entry in entries]
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    origin = checkpoint.make_origin("ward", entries[0])
    key_hash = checkpoint.compute_key_hash(origin, public)

    def sign(count: int) -> bytes:
        text = Checkpoint(origin, count, tree.compute_root(leaves[:count])).text
        return checkpoint.add_signature(text, NoteSignature(origin, key_hash, key.sign(text)))

    encoded = base64.b64encode(checkpoint.ED25519 + public).decode()
    (folder / "key").write_text(f"{origin}+{key_hash.hex()}+{encoded}\n")
    (folder / "checkpoint").write_bytes(sign(size))
    (folder / "old-checkpoint").write_bytes(sign(old))
    (folder / "entry").write_bytes(entries[index])
    inclusion = InclusionProof(index, tree.prove_inclusion(leaves, index), sign(size))
    (folder / "inclusion").write_bytes(tree_proof.encode_inclusion(inclusion))
    consistency = ConsistencyProof(old, tree.prove_consistency(leaves, old), sign(size))
    (folder / "consistency").write_bytes(tree_proof.encode_consistency(consistency))


@pytest.mark.parametrize(
    ("size", "old", "index"), [(1, 1, 0), (2, 1, 1), (7, 4, 6), (100, 63, 64), (255, 128, 200)]
)
def test_they_accept_it(check: Check, tmp_path: Path, size: int, old: int, index: int) -> None:
    write(tmp_path, size, old, index)
    ran = check(tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout == f"entry {index} of {size} is there, and the ledger of {old} continues\n"


@pytest.mark.parametrize(
    "name", ["checkpoint", "old-checkpoint", "entry", "inclusion", "consistency"]
)
def test_they_refuse_a_changed_byte(check: Check, tmp_path: Path, name: str) -> None:
    write(tmp_path, 100, 63, 64)
    data = (tmp_path / name).read_bytes()
    place = data.index(b"\n\n") - 3 if b"\n\n" in data else 0
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    (tmp_path / name).write_bytes(changed)
    ran = check(tmp_path)
    assert ran.returncode == 1
    assert ran.stdout.startswith("refused: ")


def test_they_accept_what_the_commands_write(
    check: Check, recorded_site: RecordedSite, tmp_path: Path
) -> None:
    site, files = recorded_site, tmp_path / "files"
    files.mkdir()
    site.ledger("checkpoint", "--key", site.key(), "-o", files / "old-checkpoint")
    with site.here():
        for number in range(5):
            record_event("ward", "importing", EventRecord("checked", note=str(number)))
    site.ledger("prove", "9", "--key", site.key(), "-o", tmp_path / "proof")
    site.ledger("consistency", files / "old-checkpoint", "-o", files / "consistency")
    request, cosigned = tmp_path / "request", files / "checkpoint"
    site.ledger("consistency", "0", "-o", request)
    witness = ("--name", "audit.example/7", "--key", site.key("witness"))
    site.ledger("cosign", request, "-o", cosigned, *witness)  # which they pass over
    (files / "entry").write_bytes((tmp_path / "proof/entry.msgpack").read_bytes())
    (files / "inclusion").write_bytes((tmp_path / "proof/entry.tlog-proof").read_bytes())
    origin = cosigned.read_text().splitlines()[0]
    public = site.signer().key.spki[-32:]
    key_hash = checkpoint.compute_key_hash(origin, public)
    encoded = base64.b64encode(checkpoint.ED25519 + public).decode()
    (files / "key").write_text(f"{origin}+{key_hash.hex()}+{encoded}\n")

    ran = check(files)

    assert ran.stdout == "entry 8 of 12 is there, and the ledger of 7 continues\n"
