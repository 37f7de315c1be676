"""Marks of unfinished uploads: never one for two who write at once, and the same after a kill."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airgap.state import upload_marks

ASK = "from airgap.state import upload_marks; print(upload_marks.hold_mark(), flush=True); input()"


def ask(home: Path) -> "subprocess.Popen[str]":
    """Start a process that holds a mark until it is told to end."""
    return subprocess.Popen(
        [sys.executable, "-c", ASK],
        env={**os.environ, "AIRGAP_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_processes_have_two_marks_and_the_next_has_one_again(tmp_path: Path) -> None:
    with ask(tmp_path) as one, ask(tmp_path) as other:
        first, second = told(one), told(other)
        one.kill()
        one.wait(60)
        with ask(tmp_path) as later:
            third = told(later)
            later.kill()
        other.kill()

    assert first != second
    assert third == first
    assert len(first) == len(second) == 16


def test_two_threads_have_two_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path))
    marks = [upload_marks.hold_mark()]
    thread = threading.Thread(target=lambda: marks.append(upload_marks.hold_mark()), daemon=True)
    thread.start()
    thread.join(60)

    assert marks[0] != marks[1]
    assert upload_marks.hold_mark() == marks[0]


def test_a_home_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path / "file"))

    assert len(upload_marks.hold_mark()) == 16


def test_a_damaged_slot_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path))
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "0").write_bytes(b"\xff/../../../../../x")

    mark = upload_marks.hold_mark()

    assert int(mark, 16) >= 0
    assert (tmp_path / "uploads" / "0").read_bytes().startswith(mark.encode())
