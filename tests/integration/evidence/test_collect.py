"""``airgap evidence``: what speaks of a bundle, for programs of others (format §31.5)."""

import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import SSlibKey

from airgap.format.intoto import PAYLOAD_TYPE
from tests.conftest import _add_shop
from tests.support import sides
from tests.support import signers as people
from tests.support.sides import Side
from tests.support.stores import snapshot

SPKI = PublicFormat.SubjectPublicKeyInfo
PEOPLE = ("ann", "bob", "sam", "dan")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """A side that trusts its site and has exported, scanned and approved a bundle."""
    folder = tmp_path_factory.mktemp("story")
    side = Side(folder / "side")
    side.top.mkdir()
    _add_shop(side)
    keys = {name: people.write_key(folder, name) for name in PEOPLE}
    (folder / "dan.key").unlink()
    (folder / "dan.pub").unlink()
    words: Any = ("key", "generate", "dan", "--dir", folder, "--no-passphrase")
    assert side.run(*words, "--algorithm", "ecdsa-p256-sha256").code == 0
    public = {name: keys[name].with_suffix(".pub") for name in PEOPLE}
    upstream = folder / "up.intoto.jsonl"
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": "e30=", "signatures": [{"sig": "cw=="}]}
    upstream.write_text("# a comment\n" + 2 * (json.dumps(envelope) + "\n") + "{}\n\n")
    for words in (
        [
            *("root", "create", "--site", "ward", "--root-key", keys["ann"]),
            *("--builder", public["bob"], "--scanner", public["sam"]),
            *("--approver", public["dan"], "-o", folder / "r.msgpack"),
        ],
        [
            *("export", "shop:v1", "-o", folder / "depot", "--key", keys["bob"]),
            *("--provenance", "--attach", upstream),
        ],
        [
            *("attest", folder / "depot", "--role", "scanner", "--findings", upstream),
            *("--intoto", "--key", keys["sam"]),
        ],
        ["approve", folder / "depot", "--key", keys["dan"]],
        ["copy", folder / "depot", folder / "shop.airgap"],
    ):
        ran = side.run(*words, "--json")
        assert ran.code == 0, ran.err
        if words[0] == "root":
            pin = ("--fingerprint", ran.json["fingerprint"])
            assert side.run("trust", "init", folder / "r.msgpack", *pin).code == 0
    return side


def location(story: Side, form: str = "depot") -> Path:
    return story.top.parent / form


def public_key(story: Side, name: str) -> Any:  # noqa: ANN401  (of several classes)
    return load_pem_public_key(location(story, f"{name}.pub").read_bytes())


def collect(story: Side, output: Path, form: str = "depot") -> dict[str, Any]:
    ran = story.run("evidence", location(story, form), "-o", output, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["verified"] is False
    found: dict[str, Any] = ran.json
    return found


def check(folder: Path) -> tuple[int, str]:
    """Run the script as an auditor does, with the shell of POSIX."""
    done = subprocess.run(
        ["sh", f"{folder}/check.sh"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_every_line_is_an_envelope_that_programs_of_others_verify(
    form: str, story: Side, tmp_path: Path
) -> None:
    path = tmp_path / "shop.intoto.jsonl"

    assert collect(story, path, form)["count"] == 6

    known = {
        sha256(public_key(story, name).public_bytes(Encoding.DER, SPKI)).hexdigest(): name
        for name in PEOPLE
    }
    verified: list[tuple[str, str]] = []
    for line in path.read_text().splitlines():
        envelope = json.loads(line)
        key_id = envelope["signatures"][0]["keyid"]
        if key_id not in known:
            continue
        key = SSlibKey.from_crypto(public_key(story, known[key_id]), keyid=key_id)
        changed = json.loads(line)
        changed["payload"] = "e30="
        with pytest.raises(VerificationError):
            Envelope.from_dict(changed).verify([key], 1)
        Envelope.from_dict(json.loads(line)).verify([key], 1)
        verified.append((known[key_id], envelope["payloadType"].rpartition("/")[2]))
    attestation, statement = "vnd.airgap.attestation.v1+msgpack", "vnd.in-toto+json"
    assert sorted(verified) == [
        ("bob", "vnd.airgap.manifest.v1+msgpack"),
        ("bob", statement),
        ("dan", attestation),
        ("sam", attestation),
        ("sam", statement),
    ]


@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_a_folder_is_checked_with_openssl_alone(form: str, story: Side, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"

    assert collect(story, folder, form)["count"] == 6  # five, and the root's own

    code, shown = check(folder)
    assert (code, shown.count("BAD"), shown.count("signed by")) == (0, 0, 6), shown
    (folder / "README.txt").write_bytes(b"x")
    assert "BAD  SHA256SUMS" in check(folder)[1]
    source = location(story) / "bundles"
    for path in source.rglob("*"):
        if path.is_file() and path.name != "checksums.txt":
            assert (folder / "bundles" / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_a_change_is_found_also_if_the_sums_were_made_to_fit(story: Side, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    collect(story, folder)
    for pattern, bad in {
        "bundles/*/manifest.msgpack": "bundle id",
        "bundles/*/scanner.*.attestation": ".attestation, signed by",
        "bundles/*/provenance.*.intoto.json": "intoto.json, signed by",
        "signed/6.pae": "root.msgpack, signed by",
        "signed/1.sig": "signed by",
        "keys/*.pem": "is in the root",
    }.items():
        path = min(folder.glob(pattern))
        data = path.read_bytes()
        path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:] if data[200:] else b"x")
        names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
        sums = (f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
        (folder / "SHA256SUMS").write_text("".join(sums))

        code, shown = check(folder)

        path.write_bytes(data)
        assert ("OK   SHA256SUMS" in shown, code) == (True, 1), (pattern, shown)
        wrong = [line for line in shown.splitlines() if line.startswith("BAD")]
        assert any(bad in line for line in wrong), (pattern, shown)


def test_a_machine_without_a_root_has_no_keys(story: Side, tmp_path: Path) -> None:
    nobody = Side(tmp_path / "nobody")
    nobody.top.mkdir()

    ran = nobody.run("evidence", location(story), "-o", tmp_path / "evidence")

    assert ran.code == 0, ran.err
    assert "trusts no site" in ran.out
    assert not (tmp_path / "evidence/keys").exists()
    assert check(tmp_path / "evidence")[0] == 0


def test_what_is_there_is_not_written_over(story: Side, tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/x").write_bytes(b"")
    before = snapshot(tmp_path)

    ran = story.run("evidence", location(story), "-o", tmp_path / "evidence")

    assert (ran.code, snapshot(tmp_path)) == (14, before)


def test_malformed_files_are_collected_and_make_no_line(story: Side, tmp_path: Path) -> None:
    depot = tmp_path / "copy"
    assert story.run("copy", location(story), depot).code == 0
    (bundle,) = (depot / "bundles").iterdir()
    (bundle / f"bad.{'0a' * 32}.intoto.json").write_bytes(b"[" * 10_000)
    (bundle / f"bad.{'0a' * 32}.findings").write_bytes(b"{\n" * 10_000)

    ran = story.run("evidence", depot, "-o", tmp_path / "all.jsonl", "--json")
    assert (ran.code, ran.json["count"]) == (0, 6)
    assert story.run("evidence", depot, "-o", tmp_path / "folder").code == 0

    assert list((tmp_path / "folder").rglob("bad.*"))
    assert check(tmp_path / "folder")[0] == 0


def test_an_archive_for_stock_bentoml_has_none(story: Side, tmp_path: Path) -> None:
    key = location(story, "bob.key")
    words = ("export", "shop:v1", "-o", tmp_path / "x", "--format", "folder", "--key", key)
    assert story.run(*words).code == 0

    assert story.run("evidence", tmp_path / "x", "-o", tmp_path / "x.jsonl").code == 2
    assert sides.run_cli(("evidence", "--help"), {}).code == 0
