"""The ledger that a reset put aside still proves what it holds, and nothing else (format §17.7)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import MissingError, NotTrustedError, PolicyError, UsageError
from airgap.flow.admission import history
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format import limits
from airgap.format.ledger import FRAME_BYTES, frame
from airgap.ledger.check import iterate_frames
from airgap.ledger.log import LedgerStore
from tests.support import refusals
from tests.support.recorded_site import RecordedSite, make_recorded_site
from tests.support.sides import Side


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    """A site whose first ledger has six entries, a checkpoint over five, and was put aside."""
    site = make_recorded_site(tmp_path_factory.mktemp("aside"))
    add(site, *range(4))
    site.ledger("checkpoint", "--key", site.key())
    add(site, 4)
    reset(site, "restored from a copy")
    add(site, 5)
    return site


@pytest.fixture
def site(template: RecordedSite, tmp_path: Path) -> Iterator[RecordedSite]:
    """The site, with a state of the test's own."""
    copy = template.copy(tmp_path / "ward")
    yield copy
    shutil.rmtree(copy.top)


@pytest.fixture
def auditor(tmp_path: Path) -> Side:
    """A laptop that trusts nobody."""
    return Side(tmp_path / "auditor")


def add(site: RecordedSite, *numbers: int) -> None:
    with site.here():
        for number in numbers:
            record_event("ward", "importing", EventRecord("checked", bundle=bytes([number]) * 32))


def reset(site: RecordedSite, reason: str) -> None:
    head = site.run("log", "--json").json["head"]
    ran = site.run("trust", "reset-state", "--yes", head, "--reason", reason)
    assert ran.code == 0, ran.err


def aside(site: RecordedSite, number: int = 1) -> Path:
    return site.folder.with_name(f"ward~reset-{number}")


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_is_shown_exported_and_proven_to_who_was_not_there(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    before = read_all(aside(site))
    assert [one["event"] for one in site.run("log", "--reset", "1", "--json").json["entries"]] == [
        *["checked"] * 5,
        "begun",
    ]
    for words, name in ((["export"], "entries"), (["prove", "3"], "proof")):
        site.ledger(*words, "--reset", "1", "-o", tmp_path / name)
        folder = tmp_path / name
        shown = auditor.run("ledger", "verify", folder, "--recorder", site.public(), "--json")
        assert shown.code == 0, shown.err
        assert shown.json["checkpoint"]["entries"] == 5
    lines = (tmp_path / "entries/entries.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5]
    old = tmp_path / "old.checkpoint"
    old.write_bytes((aside(site) / "checkpoint").read_bytes())
    newer = ("consistency", old, "--reset", "1", "--key", site.key(), "-o", tmp_path / "next")
    assert site.ledger(*newer, "--json").json["checkpoint"]["entries"] == 6
    shown = auditor.run(
        "ledger", "verify", tmp_path / "next", "--old", old, "--recorder", site.public()
    )
    assert shown.code == 0, shown.err
    assert read_all(aside(site)) == before


def test_what_its_checkpoint_does_not_cover_needs_the_recorder(
    site: RecordedSite, auditor: Side, tmp_path: Path
) -> None:
    before = read_all(aside(site))
    words = ("ledger", "prove", "6", "--reset", "1", "-o", tmp_path / "proof")
    refusals.expect_refusal(site, *words, error=PolicyError)

    site.ledger(*words[1:], "--key", site.key())

    shown = auditor.run("ledger", "verify", tmp_path / "proof", "--recorder", site.public())
    assert shown.code == 0, shown.err
    assert read_all(aside(site)) == before
    assert site.ledger("checkpoint", "--key", site.key(), "--json").json["entries"] == 2


def cut(ledger: bytes) -> bytes:
    """Leave the last entry out."""
    return b"".join(frame(raw) for _, raw in list(iterate_frames(ledger))[:-1])


def change(ledger: bytes) -> bytes:
    """Change a byte of the third entry."""
    at = [at for at, _ in iterate_frames(ledger)][2] + 60
    return ledger[:at] + bytes([ledger[at] ^ 1]) + ledger[at + 1 :]


def test_no_new_checkpoint_is_signed_over_a_ledger_that_was_changed_since(
    site: RecordedSite, tmp_path: Path
) -> None:
    path = aside(site) / "ledger"
    whole = path.read_bytes()
    words = ("ledger", "export", "--reset", "1", "-o", tmp_path / "entries")
    for changed in (cut(whole), change(whole), b""):
        path.write_bytes(changed)
        refusals.expect_refusal(site, *words, "--key", site.key(), error=PolicyError)
    path.write_bytes(change(whole))
    refused = refusals.expect_refusal(site, *words, error=PolicyError)
    assert "2 intact entries" in refused.json["error"]["message"]
    path.write_bytes(whole)
    (aside(site) / "checkpoint").write_bytes(b"\n".join([b"x", b"1", b"eA==", b"", b""]))
    assert site.run(*words).code != 0
    assert not (tmp_path / "entries").exists()


def test_another_ledgers_checkpoint_beside_it_proves_nothing(
    site: RecordedSite, tmp_path: Path
) -> None:
    site.ledger("checkpoint", "--key", site.key())
    shutil.copy(site.folder / "checkpoint", aside(site) / "checkpoint")
    for words in (("export",), ("prove", "1"), ("consistency", "1")):
        ran = site.run("ledger", *words, "--reset", "1", "-o", tmp_path / "out")
        assert ran.code in (PolicyError.exit_code, NotTrustedError.exit_code), words
    assert not (tmp_path / "out").exists()


def test_a_reset_that_is_not_here_is_named_with_those_that_are(site: RecordedSite) -> None:
    refused = refusals.expect_refusal(site, "log", "--reset", "2", error=MissingError)
    assert refused.json["error"]["message"].endswith("The resets here: 1.")
    assert site.run("log", "--reset", "0").code == UsageError.exit_code


def test_a_witness_adds_nothing_to_it(site: RecordedSite, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_bytes((aside(site) / "checkpoint").read_bytes())
    words = ("ledger", "checkpoint", "--reset", "1", "--cosigned", note)
    refusals.expect_refusal(site, *words, error=UsageError)


def test_resets_are_in_their_order(tmp_path: Path) -> None:
    for number in ("1", "2", "10", "03", "x", "4.part"):
        (tmp_path / f"ward~reset-{number}").mkdir()
    (tmp_path / "wardroom~reset-7").mkdir()
    store = LedgerStore("ward", tmp_path / "ward")
    assert store.number_aside() == store.open_aside(2).number_aside() == [1, 2, 10]


def audit(site: RecordedSite, folder: Path, *, code: int = 0) -> dict[str, Any]:
    ran = site.run("audit", "-o", folder / "report.html", "--json")
    assert ran.code == code, ran.err
    return ran.json


def test_a_report_has_each_ledger_and_says_when_and_by_whom_it_was_put_aside(
    site: RecordedSite, tmp_path: Path
) -> None:
    reset(site, "once more")
    shutil.copytree(aside(site, 2), aside(site, 3))  # a reset that was interrupted, and done again

    report = audit(site, tmp_path)

    sources = [ledger["source"] for ledger in report["ledgers"]]
    assert sources == [
        "this machine, put aside by reset 1",
        "this machine, put aside by reset 3",
        "this machine",
    ]
    first, second, third = (ledger["put_aside"] for ledger in report["ledgers"])
    assert (first["ledger"], first["entry"], first["note"]) == ("L2", 1, "restored from a copy")
    assert (second["ledger"], second["note"], third) == ("L3", "once more", None)
    with site.here():
        entries = list(history.read_entries("ward"))
    assert (second["user"], second["host"]) == (entries[0].who.user, entries[0].who.host)
    assert second["at"] in (tmp_path / "report.html").read_text()
    assert report["verdict"]["kinds"]["reset"] == 2
    assert "contradiction" not in report["verdict"]["kinds"]
    statements = [one["statement"] for one in report["exceptions"] if one["kind"] == "reset"]
    assert all(f"{second['user']} on {second['host']} reset the" in one for one in statements)


def test_what_a_reset_was_for_is_no_contradiction_any_more(
    site: RecordedSite, tmp_path: Path
) -> None:
    (site.folder / "state").unlink()
    assert audit(site, tmp_path, code=12)["verdict"]["kinds"]["ledger-fault"] == 1

    reset(site, "")

    report = audit(site, tmp_path)
    assert report["ledgers"][1]["fault"] == "The state is missing."
    assert not {"ledger-fault", "contradiction"} & report["verdict"]["kinds"].keys()


def test_a_report_says_that_what_was_put_aside_was_changed_or_taken_away(
    site: RecordedSite, tmp_path: Path
) -> None:
    path = aside(site) / "ledger"
    whole = path.read_bytes()
    for changed in (cut(whole), change(whole)):
        path.write_bytes(changed)
        report = audit(site, tmp_path, code=12)
        (exception,) = (one for one in report["exceptions"] if one["kind"] == "contradiction")
        assert "L1 is not the ledger that the reset in L2 put aside" in exception["statement"]
    shutil.rmtree(aside(site))
    report = audit(site, tmp_path)
    (exception,) = (one for one in report["exceptions"] if one["kind"] == "not-shown")
    assert "L1: the ledger before the reset" in exception["statement"]


def test_a_ledger_that_no_reset_names_is_not_taken_for_one(
    site: RecordedSite, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    other = make_recorded_site(tmp_path_factory.mktemp("other"))
    add(other, 1)
    shutil.copytree(other.folder, aside(site, 2))

    report = audit(site, tmp_path, code=12)

    (exception,) = (one for one in report["exceptions"] if one["kind"] == "contradiction")
    assert exception["statement"].startswith("L2: it lies among ledgers put aside")


def test_too_many_ledgers_are_refused(
    site: RecordedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUDIT_LEDGERS", 1)
    words = ("audit", "-o", tmp_path / "r.html")
    refusals.expect_refusal(site, *words, error=UsageError)


def test_a_first_entry_that_is_too_long_is_not_read_on(tmp_path: Path) -> None:
    (tmp_path / "ward~reset-1").mkdir()
    (tmp_path / "ward~reset-1/ledger").write_bytes(b"\xff" * (FRAME_BYTES * 3))
    assert LedgerStore("ward", tmp_path / "ward").open_aside(1).read_first() == b""
