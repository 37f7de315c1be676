"""Commands in child processes, and the verdicts parsed from their output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.flow.location.location import ArchiveFile
from airgap.server.intake import worker
from airgap.server.intake.worker import Worker
from tests.support.sides import Side


def test_an_import_is_what_the_command_line_does(archive: Path, isolated: Side) -> None:
    with isolated.here():
        verdict = Worker(jobs=1).run("import", ArchiveFile(archive))

    assert verdict.kind == "done"
    assert {item["tag"] for item in verdict.report["items"]} == {"shop:v1", "ranker:v1"}


def test_a_refusal_has_its_kind_and_hint(tmp_path: Path, isolated: Side) -> None:
    with isolated.here():
        verdict = Worker().run("verify", ArchiveFile(tmp_path / "nothing.airgap"))

    assert verdict.kind == "missing"
    assert "is not there" in verdict.message
    assert verdict.hint


@pytest.mark.parametrize(
    ("code", "out", "message"),
    [
        (-9, b"", "signal 9"),
        (1, b"", "exit code 1"),
        (1, b"[1]", "exit code 1"),
        (7, b"not json", "exit code 7"),
    ],
)
def test_an_end_without_a_verdict_is_a_bug(code: int, out: bytes, message: str) -> None:
    verdict = worker._parse_verdict(code, out, b"Killed")

    assert verdict.kind == "bug"
    assert message in verdict.message
    assert "Killed" in verdict.message


def test_a_verdict_takes_precedence_over_an_exit_code() -> None:
    error = {"error": {"kind": "policy", "message": "m", "hint": "h"}}

    assert worker._parse_verdict(12, json.dumps(error).encode(), b"").kind == "policy"


def test_a_stopped_worker_starts_nothing(isolated: Side) -> None:
    stopped = Worker()
    stopped.stop()
    with isolated.here():
        assert stopped.run("import", ArchiveFile(Path("x"))).kind == "interrupted"


def test_no_code_is_imported_from_the_working_directory(
    archive: Path, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "airgap.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(worker.__file__).parents[3]))
    with isolated.here():
        assert Worker().run("verify", ArchiveFile(archive)).kind == "done"


def test_a_command_holds_the_lock_it_inherits(tmp_path: Path) -> None:
    """So that a new service waits for what a killed one has left running."""
    import fcntl

    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,)
    ) as child:
        os.close(lock)
        other = os.open(tmp_path / "lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child.communicate(b"\n", timeout=60)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
