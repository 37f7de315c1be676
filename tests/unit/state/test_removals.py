"""The file of removals: who removed what (format §21)."""

import json
import os
from pathlib import Path

import pytest

from airgap.state import removals

LINE = {
    "at": "2026-01-02T03:04:05Z",
    "event": "removed",
    "user": "ann",
    "items": [{"kind": "bento", "tag": "shop:v1", "outcome": "removed"}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_what_is_recorded_is_listed_the_oldest_first(folder: Path) -> None:
    removals.record_removal(LINE)
    removals.record_removal(LINE | {"user": "ben"})

    assert [line["user"] for line in removals.list_removals()] == ["ann", "ben"]
    assert (folder / "removals.jsonl").stat().st_mode & 0o777 == 0o600


def test_in_a_folder_that_a_group_shares_the_file_is_shared(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o2770)

    removals.record_removal(LINE)

    assert (folder / "removals.jsonl").stat().st_mode & 0o777 == 0o660


def test_a_long_file_takes_the_place_of_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "_BYTES", 300)
    for number in range(7):
        removals.record_removal(LINE | {"user": str(number)})

    users = [line["user"] for line in removals.list_removals()]
    assert users == sorted(users)
    assert users[-1] == "6"
    assert len(users) < 7
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "7",
        "{}",
        json.dumps(LINE | {"more": 1}),
        json.dumps(LINE | {"user": 1}),
        json.dumps(LINE | {"items": {}}),
        json.dumps(LINE | {"items": [1]}),
        json.dumps(LINE | {"items": [{"kind": "bento", "tag": 1, "outcome": "removed"}]}),
    ],
)
def test_what_airgap_did_not_write_is_left_out(text: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "removals.jsonl").write_text(f"{text}\n{json.dumps(LINE)}\n\udcff", errors="replace")

    assert list(removals.list_removals()) == [LINE]


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "removals.jsonl").symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="symbolic"):
        removals.record_removal(LINE)
    assert not (tmp_path / "victim").exists()


def test_the_caller_of_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert removals.find_user() == "root"
    monkeypatch.setenv("SUDO_USER", "ann")
    assert removals.find_user() == "ann as root"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert removals.find_user() == "4000000000"
