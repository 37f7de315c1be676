"""What a machine exports, signs and approves is in its own ledger, before it takes effect."""

from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import MissingError, PolicyError
from airgap.flow.admission import history
from airgap.format.ledger import Entry
from tests.support.recorded_site import RecordedSite
from tests.support.sides import Side


@pytest.fixture
def site(recorded_site: RecordedSite) -> RecordedSite:
    """The site, whose ledger has seven entries."""
    return recorded_site


@pytest.fixture
def depot(small: Side, site: RecordedSite, tmp_path: Path) -> Path:
    """A depot with a bundle for two sites."""
    words = ("--audience", "ward", "--audience", "attic", "--channel", "nightly")
    depot = tmp_path / "depot"
    ran = small.run("export", "shop:v1", "-o", depot, "--key", site.key("bob"), *words)
    assert ran.code == 0, ran.err
    return depot


@pytest.fixture
def keys(small: Side, tmp_path: Path) -> Path:
    """Keys of a second builder and of an approver."""
    for name in ("bob", "eve"):
        made = ("--dir", tmp_path, "--no-passphrase", "-q")
        assert small.run("key", "generate", name, *made).code == 0
    return tmp_path


def read(side: Side, site: str = "ward") -> list[Entry]:
    with side.here():
        return list(history.read_entries(site, "exporting"))


def test_an_export_is_in_the_ledger_of_each_site_that_it_is_for(small: Side, depot: Path) -> None:
    (bundle,) = (path.name for path in (depot / "bundles").iterdir())
    for site in ("ward", "attic"):
        begun, exported = read(small, site)
        assert (begun.event, exported.event) == ("begun", "exported")
        assert exported.bundle == bytes.fromhex(bundle) == exported.documents["manifest"]
        assert (exported.channel, exported.sequence, exported.root) == ("nightly", 1, 0)
        assert exported.signed_by["builder"] == (exported.who.key,)


def test_each_signature_approval_and_waiver_is_recorded(
    small: Side, depot: Path, keys: Path
) -> None:
    report = keys / "report.txt"
    report.write_text("clean")
    eve, waiver = ("--key", keys / "eve.key"), keys / "old.waiver"
    for words in (
        ("sign", depot, "--key", keys / "bob.key"),
        ("attest", depot, "--role", "scanner", "--findings", report, "--note", "ok", *eve),
        ("approve", depot, "--reject", *eve),
        (
            "waive",
            depot,
            "--site",
            "ward",
            "--reason",
            "old",
            "--expires",
            "1d",
            "-o",
            waiver,
            *eve,
        ),
    ):
        ran = small.run(*words)
        assert ran.code == 0, ran.err

    entries = read(small)[2:]
    assert [entry.event for entry in entries] == [
        "signed",
        "approved",
        "rejected",
        "waiver-written",
    ]
    signed, approved, rejected, waived = entries
    assert set(signed.documents) == {"envelope"}
    assert set(approved.documents) == {"attestation", "findings"}
    assert (approved.note, set(rejected.documents)) == ("malware: ok", {"attestation"})
    assert (waived.note, set(waived.signed_by)) == ("old", {"waiver"})
    assert waived.waiver is not None
    assert [entry.event for entry in read(small, "attic")[2:]] == ["signed", "approved", "rejected"]


def test_a_deletion_is_recorded(small: Side, depot: Path) -> None:
    assert small.run("delete", "shop:v1", depot, "--yes").code == 0

    assert read(small)[-1].event == "deleted"
    assert str(depot) in read(small, "attic")[-1].note


def test_what_cannot_be_recorded_is_neither_exported_nor_signed(
    small: Side, depot: Path, keys: Path, site: RecordedSite
) -> None:
    (small.state / "ledgers/attic/exporting/state").unlink()

    words = (
        "export",
        "shop:v1",
        "--audience",
        "attic",
        "-o",
        keys / "new",
        "--key",
        site.key("bob"),
    )
    ran = small.run(*words)
    assert ran.code == PolicyError.exit_code
    assert not (keys / "new/bundles").exists()
    before = {path: path.read_bytes() for path in depot.rglob("*") if path.is_file()}
    assert small.run("sign", depot, "--key", keys / "bob.key").code == PolicyError.exit_code
    assert {path: path.read_bytes() for path in depot.rglob("*") if path.is_file()} == before


def test_without_an_audience_the_trusted_site_is_meant(
    small: Side, site: RecordedSite, tmp_path: Path
) -> None:
    words = ("export", "shop:v1", "--key", site.key("bob"), "-o")
    assert small.run(*words, tmp_path / "one").code == 0
    assert read(small, "any")[-1].event == "exported"
    replace(site, top=small.top).trust_root(1)
    assert small.run(*words, tmp_path / "two").code == 0
    assert (read(small)[-1].event, read(small)[-1].root) == ("exported", 1)


def test_log_and_doctor_show_the_ledgers_of_exports(small: Side, depot: Path) -> None:
    (bundle,) = (path.name for path in (depot / "bundles").iterdir())

    log = small.run("log", "--exports", "--site", "attic", "--json").json
    assert (log["site"], log["intact"]) == ("attic", True)
    exported, begun = log["entries"]
    assert (exported["event"], exported["bundle"], begun["event"]) == ("exported", bundle, "begun")
    assert {item["tag"] for item in exported["items"]} == {"shop:v1", "ranker:v1"}
    assert "exported  channel nightly 1" in small.run("log", "--exports", "--site", "ward").out
    refused = small.run("log", "--exports", "--site", "nobody", "--json")
    assert refused.code == MissingError.exit_code

    ledger = small.state / "ledgers/ward/exporting/ledger"
    found = [one for one in small.run("doctor", "--json").json["findings"] if "exports" in str(one)]
    assert any("for site attic is intact: 2 entries" in one["message"] for one in found)
    raw = bytearray(ledger.read_bytes())
    raw[-1] ^= 1
    ledger.write_bytes(raw)
    findings = small.run("doctor", "--json").json["findings"]
    (bad,) = [one for one in findings if "ledger of exports for site ward" in one["message"]]
    assert bad["level"] == "problem"
    assert "reset-state --exports ward" in bad["hint"]
    assert small.run("log", "--exports", "--site", "ward").code == PolicyError.exit_code
