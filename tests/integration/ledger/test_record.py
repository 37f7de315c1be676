"""What is done on a machine is recorded in its ledgers (format §17.3)."""

import os
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, PolicyError
from airgap.flow.admission import history
from airgap.flow.ledger.record import EventRecord, record_event
from airgap.format.ledger import Entry
from airgap.state import removals
from tests.support.sides import Side

KEY = "ab" * 32


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder and a BentoML home of the test's own."""
    for name in ("AIRGAP_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("AIRGAP_CONFIG", raising=False)
    return tmp_path / "AIRGAP_HOME"


def read() -> list[Entry]:
    return list(history.read_entries("ward", "exporting"))


def test_the_first_event_begins_the_ledger_of_exports(home: Path) -> None:
    record = EventRecord("signed", bytes(32), "nightly", 3, {"envelope": b"\1" * 32}, "a\nb", KEY)

    assert record_event("ward", "exporting", record) == 2
    assert record_event("ward", "exporting", record) == 3

    begun, signed, _ = read()
    assert (begun.event, begun.root) == ("begun", 0)
    assert (signed.event, signed.bundle, signed.channel) == ("signed", bytes(32), "nightly")
    assert (signed.sequence, signed.documents) == (3, {"envelope": b"\1" * 32})
    assert signed.note == "a b"
    assert (signed.who.user, signed.who.host) == (removals.find_user(), os.uname().nodename)
    assert signed.who.key == KEY
    assert (home / "ledgers/ward/exporting").stat().st_mode & 0o777 == 0o700
    assert history.check_history("ward", "exporting").require().state.channels == {}


def test_the_config_file_leaves_names_out(home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("record_who = []\n")

    record_event("ward", "exporting", EventRecord("signed", key=KEY))

    assert {(entry.who.user, entry.who.host, entry.who.key) for entry in read()} == {("", "", "")}


def test_a_name_of_something_else_in_the_config_file_is_refused(home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text('record_who = ["user", "shoes"]\n')

    with pytest.raises(ConfigurationError, match="record_who"):
        record_event("ward", "exporting", EventRecord("signed"))


def test_the_name_that_sudo_gives_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "find_user", lambda: "x\n" * 100)

    record_event("ward", "exporting", EventRecord("signed"))

    assert read()[-1].who.user == "x " * 32


def test_a_ledger_that_was_changed_records_nothing(home: Path) -> None:
    record_event("ward", "exporting", EventRecord("signed"))
    ledger = home / "ledgers/ward/exporting/ledger"
    raw = bytearray(ledger.read_bytes())
    raw[-9] ^= 1
    ledger.write_bytes(raw)

    with pytest.raises(PolicyError, match="ledger of exports for site ward is damaged") as refused:
        record_event("ward", "exporting", EventRecord("signed"))
    assert "reset-state --exports ward" in refused.value.hint
    assert ledger.read_bytes() == raw


def test_a_document_without_a_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="cannot name"):
        record_event("ward", "exporting", EventRecord("signed", documents={"A b": bytes(32)}))


def test_a_receipt_is_recorded_beside_imports(
    isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in isolated.environment.items():
        monkeypatch.setenv(name, value)

    record = EventRecord("receipt-made", documents={"receipt": b"\1" * 32}, key=KEY)
    number = record_event("ward", "importing", record)

    assert number == 2
    ran = isolated.run("log", "--json", "--event", "receipt-made")
    (entry,) = ran.json["entries"]
    assert entry["documents"] == {"receipt": "01" * 32}
    assert entry["who"]["host"] == os.uname().nodename
    shown = isolated.run("log").out
    assert f"receipt  sha256 {'01' * 32}" in shown
    assert f"  by {removals.find_user()} on {os.uname().nodename}" in shown
