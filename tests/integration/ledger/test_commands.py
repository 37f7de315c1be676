"""The commands of ``airgap ledger``: checkpoints, proofs, witnesses and exports (format §28)."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.errors import (
    ConfigurationError,
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    PolicyError,
    UsageError,
)
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format.checkpoint import parse_checkpoint, parse_note
from airgap.signing import private_keys
from tests.support import refusals, sides
from tests.support.recorded_site import RecordedSite
from tests.support.sides import Side


@pytest.fixture
def site(recorded_site: RecordedSite) -> RecordedSite:
    """The site, whose ledger has seven entries."""
    return recorded_site


@pytest.fixture
def auditor(tmp_path: Path) -> Side:
    """A laptop that trusts nobody."""
    return Side(tmp_path / "auditor")


def add_entry(site: RecordedSite) -> None:
    with site.here():
        record_event("ward", "importing", EventRecord("checked", bundle=b"\x77" * 32))


def test_a_checkpoint_says_how_long_the_ledger_is(site: RecordedSite, tmp_path: Path) -> None:
    out = tmp_path / "checkpoint"

    ran = site.ledger("checkpoint", "--key", site.key(), "-o", out, "--json")

    assert ran.json["entries"] == 7
    assert ran.json["recorder"] == site.signer().key.id
    point = parse_checkpoint(parse_note(out.read_bytes(), "c").text, "c")
    assert (point.size, point.origin) == (7, ran.json["origin"])
    assert out.read_bytes() == (site.folder / "checkpoint").read_bytes()
    shown = site.ledger("verify", out, "--json")
    assert shown.json["checkpoint"]["root"] == point.root.hex()


def test_the_same_length_is_signed_once(site: RecordedSite) -> None:
    first = site.ledger("checkpoint", "--key", site.key(), "--json").json["note"]
    assert site.ledger("checkpoint", "--key", site.key(), "--json").json["note"] == first
    add_entry(site)
    assert site.ledger("checkpoint", "--key", site.key(), "--json").json["entries"] == 8


@pytest.mark.parametrize("wanted", ["4", "0202020202", "02" * 32])
def test_an_entry_is_proven_to_who_has_no_ledger(
    wanted: str, site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"

    ran = site.ledger("prove", wanted, "-o", proof, "--key", site.key(), "--json")

    assert ran.json["entry"]["number"] == 4
    assert sorted(ran.json["files"]) == sorted(path.name for path in proof.iterdir())
    assert json.loads((proof / "entry.json").read_text()) == ran.json["entry"]
    shown = auditor.run("ledger", "verify", proof, "--recorder", site.public(), "--json")
    assert shown.code == 0, shown.err
    assert shown.json["entry"] == ran.json["entry"]
    assert (
        "entry 4: checked"
        in auditor.run("ledger", "verify", proof, "--recorder", site.public()).out
    )


def test_without_a_key_the_last_checkpoint_must_cover_the_entry(
    site: RecordedSite, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    refusals.expect_refusal(site, "ledger", "prove", "1", "-o", proof, error=PolicyError)
    site.ledger("checkpoint", "--key", site.key())
    add_entry(site)

    refused = refusals.expect_refusal(site, "ledger", "prove", "8", "-o", proof, error=PolicyError)
    assert "not entry 8" in refused.json["error"]["message"]
    site.ledger("prove", "7", "-o", proof)
    refusals.expect_refusal(site, "ledger", "prove", "7", "-o", proof, error=ConflictError)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [("0", MissingError), ("9", MissingError), ("ab", UsageError), ("ff" * 8, MissingError)],
)
def test_what_the_ledger_does_not_have_is_not_proven(
    wanted: str, error: type[MissingError | UsageError], site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    words = ("ledger", "prove", wanted, "-o", tmp_path / "proof")
    refusals.expect_refusal(site, *words, error=error)


def test_a_key_that_cannot_sign_notes_is_refused_with_what_to_do(
    site: RecordedSite, tmp_path: Path
) -> None:
    private_keys.generate(tmp_path, "curve", "ecdsa-p256-sha256", None)
    words = (
        "ledger",
        "checkpoint",
        "--exports",
        "--site",
        "attic",
        "--key",
        tmp_path / "curve.key",
    )
    with site.here():
        record_event("attic", "exporting", EventRecord("exported"))

    key = ("--key", tmp_path / "curve.key")
    refused = refusals.expect_refusal(site, *words, *key, error=ConfigurationError)

    assert "Ed25519 only" in refused.json["error"]["message"]
    assert "root add-key ROOT recorder NAME.pub" in refused.json["error"]["hint"]


def test_a_checkpoint_needs_a_key(site: RecordedSite, tmp_path: Path) -> None:
    refusals.expect_refusal(site, "ledger", "checkpoint", error=ConfigurationError)
    words = ("ledger", "checkpoint", "--key", site.key(), "--cosigned", tmp_path / "c")
    refusals.expect_refusal(site, *words, error=UsageError)


def test_a_ledger_continues_an_older_checkpoint(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    old, proof = tmp_path / "old", tmp_path / "proof"
    site.ledger("checkpoint", "--key", site.key(), "-o", old)
    add_entry(site)

    site.ledger("consistency", old, "-o", proof, "--key", site.key())

    words = ("ledger", "verify", proof, "--recorder", site.public())
    assert auditor.run(*words, "--old", old).code == 0
    refusals.expect_refusal(auditor, *words, error=UsageError)
    with_old = ("ledger", "verify", old, "--old", old, "--recorder", site.public())
    refusals.expect_refusal(auditor, *with_old, error=UsageError)
    refusals.expect_refusal(site, "ledger", "consistency", "9", "-o", proof, error=UsageError)


def test_a_witness_signs_what_continues_and_the_site_records_that(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    request, signed = tmp_path / "request", tmp_path / "signed"
    cosign = ("ledger", "cosign", request, "--name", "audit.example/7", "-o", signed)
    keys = ("--recorder", site.public(), "--key", site.key("witness"))
    site.ledger("consistency", "0", "-o", request, "--key", site.key())
    done = auditor.run(*cosign, *keys, "--json")
    assert done.code == 0, done.err
    assert (done.json["old"], done.json["entries"]) == (0, 7)
    assert signed.read_text().endswith(done.json["cosignature"])

    site.ledger("checkpoint", "--cosigned", signed)
    site.ledger("checkpoint", "--cosigned", signed)  # again: nothing new

    assert "audit.example/7, not verified" in site.ledger("verify", signed).out
    last, before = site.run("log", "--json", "-n", "2").json["entries"]
    assert (last["event"], last["note"]) == ("cosigned", "audit.example/7")
    assert before["event"] == "checked"
    refusals.expect_refusal(auditor, *cosign, *keys, error=PolicyError)
    site.ledger("consistency", "7", "-o", request, "--key", site.key())
    assert auditor.run(*cosign, *keys, "--json").json["old"] == 7
    refusals.expect_refusal(
        site, "ledger", "checkpoint", "--cosigned", tmp_path / "none", error=MissingError
    )


def test_a_witness_needs_a_name_that_a_note_can_have(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    request = tmp_path / "request"
    site.ledger("consistency", "0", "-o", request, "--key", site.key())
    words = ("ledger", "cosign", request, "--name", "two words", "-o", tmp_path / "signed")
    keys = ("--recorder", site.public(), "--key", site.key("witness"))
    refusals.expect_refusal(auditor, *words, *keys, error=UsageError)


@pytest.mark.parametrize("since", [0, 3, 7])
def test_exported_entries_lead_to_the_checkpoint(
    since: int, site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    folder = tmp_path / "entries"

    ran = site.ledger("export", "--since", str(since), "-o", folder, "--key", site.key(), "--json")

    assert (ran.json["first"], ran.json["entries"]) == (since + 1, 7 - since)
    rows = [json.loads(line) for line in (folder / "entries.jsonl").read_text().splitlines()]
    assert [row["number"] for row in rows] == list(range(since + 1, 8))
    shown = auditor.run("ledger", "verify", folder, "--recorder", site.public(), "--json")
    assert shown.code == 0, shown.err
    assert shown.json["entries"] == 7 - since
    refusals.expect_refusal(
        site, "ledger", "export", "--since", "8", "-o", tmp_path / "new", error=UsageError
    )


def test_a_machine_without_a_root_proves_its_exports(auditor: Side, site: RecordedSite) -> None:
    with auditor.here():
        record_event("any", "exporting", EventRecord("exported", bundle=bytes(32)))
    ran = auditor.run("ledger", "checkpoint", "--exports", "--key", site.key("other"), "--json")
    assert ran.json["origin"].startswith("airgap/any/")
    refusals.expect_refusal(auditor, "ledger", "checkpoint", error=ConfigurationError)
    checkpoint = auditor.state / "ledgers/any/exporting/checkpoint"
    words = ("ledger", "verify", checkpoint)
    refusals.expect_refusal(auditor, *words, error=ConfigurationError)
    assert auditor.run(*words, "--recorder", site.public("other")).code == 0


@pytest.mark.servers
def test_standard_tools_check_a_proof(site: RecordedSite, tmp_path: Path) -> None:
    for number in range(1, 8):
        proof = tmp_path / f"proof{number}"
        site.ledger("prove", str(number), "-o", proof, "--key", site.key())
        assert len((proof / "check.sh").read_text().splitlines()) <= 25
        ran = run("sh", proof / "check.sh", proof)
        assert ran.returncode == 0, ran.stderr
        assert f"entry {number} of 7 is in the ledger airgap/ward/" in ran.stdout
        assert ran.stdout.splitlines()[-1] == site.signer().key.id
        fingerprint = site.run("trust", "show", "--json").json["fingerprint"]
        ran = run(sys.executable, proof / "verify.py", proof, "--fingerprint", fingerprint)
        assert ran.returncode == 0, ran.stdout
        assert ran.stdout.splitlines()[-1].startswith(f"ACCEPTED entry {number}: ")


@pytest.mark.servers
@pytest.mark.parametrize("name", ["entry.msgpack", "entry.tlog-proof", "recorder.pub"])
def test_standard_tools_refuse_what_was_changed(
    name: str, site: RecordedSite, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    site.ledger("prove", "3", "-o", proof, "--key", site.key())
    if name == "recorder.pub":
        (proof / name).write_bytes(site.public("other").read_bytes())
    else:
        raw = (proof / name).read_bytes()
        at = raw.index(b"\n\n") - 5 if b"\n\n" in raw else 30
        (proof / name).write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])

    assert run("sh", proof / "check.sh", proof).returncode != 0
    if name != "recorder.pub":  # verify.py takes the key from the root
        fingerprint = site.run("trust", "show", "--json").json["fingerprint"]
        ran = run(sys.executable, proof / "verify.py", proof, "--fingerprint", fingerprint)
        assert ran.returncode == 1
        assert "REFUSED" in ran.stdout
    assert run(
        sys.executable, proof / "verify.py", proof, "--fingerprint", "SHA256:" + "0" * 64
    ).stdout.startswith("REFUSED")


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    environment = sides.unmeasured_environment()
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def test_files_that_are_not_proofs_are_refused(site: RecordedSite, tmp_path: Path) -> None:
    folder = tmp_path / "proof"
    site.ledger("prove", "3", "-o", folder, "--key", site.key())
    (folder / "manifest.msgpack").write_bytes(b"another")
    refusals.expect_refusal(site, "ledger", "verify", folder, error=NotTrustedError)
    (folder / "entry.tlog-proof").write_bytes(b"x" * 90_000)
    refusals.expect_refusal(site, "ledger", "verify", folder, error=CorruptError)
    (folder / "entry.tlog-proof").unlink()
    refusals.expect_refusal(site, "ledger", "verify", folder, error=MissingError)


@pytest.mark.servers
def test_an_auditors_page_shows_commands_that_check_a_ledger(
    site: RecordedSite, tmp_path: Path
) -> None:
    with site.here():
        record_event("ward", "importing", EventRecord("imported", bundle=b"\x55" * 32))
    site.ledger("checkpoint", "--key", site.key(), "-o", tmp_path / "kept-checkpoint")
    add_entry(site)
    site.ledger("prove", "55555555", "--key", site.key(), "-o", tmp_path / "proof")
    site.ledger("consistency", tmp_path / "kept-checkpoint", "-o", tmp_path / "next")
    site.ledger("export", "-o", tmp_path / "entries")
    page = (sides.REPOSITORY / "docs/audit.md").read_text()
    blocks = re.findall(r"^```sh ledger\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    fingerprint = site.run("trust", "show", "--json").json["fingerprint"]

    ran = subprocess.run(
        ["bash", "-euc", "".join(blocks)],
        cwd=tmp_path,
        env={
            **sides.unmeasured_environment(),
            **site.environment,
            "FINGERPRINT": fingerprint,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stderr
    assert "ACCEPTED entry 8" in ran.stdout
    assert "consistency: verified" in ran.stdout
    assert "entries: verified" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "1"


def test_a_reader_remembers_checkpoints_and_keeps_two_of_one_length(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    first, second, fork = tmp_path / "first", tmp_path / "second", tmp_path / "fork"
    copy = site.copy(tmp_path / "copy")
    add_entry(site)
    site.ledger("checkpoint", "--key", site.key(), "-o", first)
    add_entry(site)
    site.ledger("checkpoint", "--key", site.key(), "-o", second)
    with copy.here():  # a machine that was restored from a copy, and went on
        record_event("ward", "importing", EventRecord("checked", bundle=b"\x99" * 32))
    copy.ledger("checkpoint", "--key", site.key(), "-o", fork)
    words = ("--recorder", site.public())
    for path in (first, second, first):  # the length between is remembered, too
        ran = auditor.run("ledger", "verify", path, *words)
        assert ran.code == 0, ran.err

    refused = auditor.run("ledger", "verify", fork, *words, "--json")

    assert refused.code == NotTrustedError.exit_code
    assert "two checkpoints over 8 entries with different roots" in refused.json["error"]["message"]
    (evidence,) = auditor.state.glob("witnessed/*/fork-8-*")
    assert (evidence / "first").read_bytes() == first.read_bytes()
    assert (evidence / "second").read_bytes() == fork.read_bytes()
    assert auditor.run("ledger", "verify", first, *words).code == 0


def test_a_cosignature_of_a_known_witness_is_verified(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    request, signed = tmp_path / "request", tmp_path / "signed"
    site.ledger("consistency", "0", "-o", request, "--key", site.key())
    words = ("ledger", "cosign", request, "--name", "audit.example/7", "-o", signed)
    keys = ("--recorder", site.public(), "--key", site.key("witness"))
    assert auditor.run(*words, *keys).code == 0
    verify = ("ledger", "verify", signed, "--recorder", site.public())
    shown = auditor.run(*verify, "--witness", site.public("witness"), "--json").json["checkpoint"]
    assert [one["name"] for one in shown["witnesses"]] == ["audit.example/7"]
    assert shown["witnesses"][0]["key_id"] == site.signer("witness").key.id
    assert shown["other_signatures"] == []
    other = auditor.run(*verify, "--witness", site.public("other"), "--json").json["checkpoint"]
    assert (other["witnesses"], other["other_signatures"]) == ([], ["audit.example/7"])

    text, _, line = signed.read_text().rstrip("\n").rpartition(" ")
    changed = bytearray(base64.b64decode(line))
    changed[-1] ^= 1
    signed.write_text(f"{text} {base64.b64encode(changed).decode()}\n")
    refused = refusals.expect_refusal(
        auditor, *verify, "--witness", site.public("witness"), error=NotTrustedError
    )
    assert "audit.example/7" in refused.json["error"]["message"]
