"""Whether programs can run from a folder: mounts, and fapolicyd."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from airgap.disk import execution
from airgap.errors import StorageError


def mount(monkeypatch: pytest.MonkeyPatch, top: Path) -> None:
    """Let everything below a folder be mounted noexec."""

    def look(path: Path) -> SimpleNamespace:
        below = Path(path) == top or top in Path(path).parents
        return SimpleNamespace(f_flag=os.ST_NOEXEC | os.ST_NOSUID if below else os.ST_NOSUID)

    monkeypatch.setattr(os, "statvfs", look)


def test_a_folder_that_is_still_to_be_made_counts_as_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted").mkdir()
    mount(monkeypatch, tmp_path / "mounted")

    assert execution.is_noexec(tmp_path / "mounted" / "a" / "b")
    assert not execution.is_noexec(tmp_path / "other" / "a")
    execution.refuse_noexec(tmp_path, "")
    with pytest.raises(StorageError, match="mounted noexec") as refused:
        execution.refuse_noexec(tmp_path / "mounted", "Name another.")
    assert refused.value.hint == "Name another."


def test_what_cannot_be_looked_at_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", fail)

    assert not execution.is_noexec(Path("/"))


@pytest.mark.parametrize(
    ("pid", "name", "fifo", "runs"),
    [
        ("17\n", "fapolicyd\n", False, True),
        ("17\n", "other\n", False, False),  # the process of a stale file was another one's
        ("17\n", "", False, False),
        ("17\n", "", True, True),
        ("", "", True, True),
        ("", "", False, False),
        ("x", "", False, False),
    ],
)
def test_fapolicyd_is_known_by_its_process_or_its_fifo(
    pid: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fifo: bool, runs: bool
) -> None:
    for attribute in ("_PID", "_FIFO", "_PROCESSES"):
        monkeypatch.setattr(execution, attribute, tmp_path / attribute)
    if pid:
        (tmp_path / "_PID").write_text(pid)
    if name:
        (tmp_path / "_PROCESSES/17").mkdir(parents=True)
        (tmp_path / "_PROCESSES/17/comm").write_text(name)
    if fifo:
        os.mkfifo(tmp_path / "_FIFO")

    assert execution.has_fapolicyd() == runs


def test_folders_in_commands_can_be_pasted() -> None:
    commands = execution.list_trust_commands([Path("/srv/my env")])

    assert commands == [
        "fapolicyd-cli --file add '/srv/my env/' --trust-file airgap",
        "fapolicyd-cli --update",
    ]
