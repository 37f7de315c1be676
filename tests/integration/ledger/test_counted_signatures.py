"""An importer keeps the signatures that it counted, and proves with them who signed (§17.9)."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import NotTrustedError
from airgap.state.counted_files import load_counted
from tests.support import refusals, stores
from tests.support.sides import Side
from tests.support.signers import make_root, person, pin, team, write_key


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    """A model that a builder signed, a scanner found clean and an approver has not seen."""
    side = Side(tmp_path / "connected")
    side.bentoml.mkdir(parents=True)
    stores.add_model(side, "ranker:v1", {"w.bin": b"w" * 99})
    depot = tmp_path / "depot"
    for name in ("bob", "sam", "dan", "ray"):
        write_key(tmp_path / "keys", name)
    key = tmp_path / "keys/bob.key"
    ran = side.run("export", "--model", "ranker:v1", "-o", depot, "--key", key)
    assert ran.code == 0, ran.err
    attest(side, depot, tmp_path, "sam")
    return depot


def attest(side: Side, depot: Path, top: Path, name: str) -> None:
    role = {"sam": "scanner", "dan": "approver"}[name]
    key = top / f"keys/{name}.key"
    findings = top / "findings.txt"
    findings.write_text("clean")
    ran = side.run("attest", depot, "--role", role, "--key", key, "--findings", findings)
    assert ran.code == 0, ran.err


@pytest.fixture
def isolated(tmp_path: Path) -> Side:
    side = Side(tmp_path / "isolated")
    side.bentoml.mkdir(parents=True)
    root = make_root(scanner=team("sam"), approver=team("dan"), recorder=team("ray"))
    roles = {**root.roles, "approver": replace(root.roles["approver"], threshold=0)}
    pin(side, replace(root, roles=roles, created_at=7))
    return side


def prove(side: Side, top: Path, bundle: str, to: str = "proof") -> Path:
    key = top / "keys/ray.key"
    ran = side.run("ledger", "prove", bundle, "-o", top / to, "--key", key)
    assert ran.code == 0, ran.err
    return top / to


def test_a_proof_shows_who_signed_what_was_imported(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    imported = isolated.run("import", depot, "--json")
    assert imported.code == 0, imported.err
    bundle = imported.json["bundle"]
    proof = prove(isolated, tmp_path, bundle)
    bob, sam = (person(name).key.id for name in ("bob", "sam"))
    kept = {f"builder.{bob}.dsse", f"scanner.{sam}.attestation", f"scanner.{sam}.dsse"}
    assert kept < {path.name for path in proof.iterdir()}
    for name in kept:
        assert (proof / name).read_bytes() == (depot / "bundles" / bundle / name).read_bytes()

    shown = isolated.run("ledger", "verify", proof, "--json").json["signatures"]
    assert {(one["role"], one["key_id"], one["verified"]) for one in shown} == {
        ("builder", bob, True),
        ("scanner", sam, True),
    }

    (proof / f"scanner.{sam}.dsse").unlink()
    shown = isolated.run("ledger", "verify", proof).out
    assert f"signature of scanner {sam}: not here" in shown
    assert f"signature of builder {bob}: verified" in shown


def test_a_signature_that_is_not_its_keys_is_refused(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    bundle = isolated.run("import", depot, "--json").json["bundle"]
    proof = prove(isolated, tmp_path, bundle)
    for path in (next(proof.glob("builder.*.dsse")), next(proof.glob("scanner.*.attestation"))):
        whole = path.read_bytes()
        other = whole.replace(b'"sig":"', b'"sig":"AAAA', 1)[: len(whole)]
        path.write_bytes(other if other != whole else whole[:-1] + bytes([whole[-1] ^ 1]))
        refused = refusals.expect_refusal(
            isolated, "ledger", "verify", proof, error=NotTrustedError
        )
        assert str(proof) in refused.json["error"]["message"]
        path.write_bytes(whole)


def test_a_later_import_adds_what_it_counts_and_a_damaged_file_is_kept_anew(
    depot: Path, isolated: Side, tmp_path: Path
) -> None:
    bundle = isolated.run("import", depot, "--json").json["bundle"]
    path = isolated.state / "counted" / bundle
    before = path.read_bytes()
    assert isolated.run("import", depot).code == 0
    assert path.read_bytes() == before
    more = tmp_path / "more"
    shutil.copytree(depot, more)
    attest(isolated, more, tmp_path, "dan")

    assert isolated.run("import", more).code == 0

    with isolated.here():
        assert len(load_counted(bundle)) == 5
    path.write_bytes(before[:-1])
    with isolated.here():
        assert load_counted(bundle) == {}
    assert isolated.run("import", depot).code == 0
    assert path.read_bytes() == before
