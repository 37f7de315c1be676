"""An archive whose writer is killed at any point, and two who write at once (format §35.5)."""

import shutil
import signal
from pathlib import Path

import pytest

from airgap.flow.admission import history
from tests.support.archive_site import ArchiveSite, make_archive_site
from tests.support.faults import Fault, Launcher

_RECORD = "link archive/archive/records/"


@pytest.fixture
def vault(tmp_path: Path) -> ArchiveSite:
    return make_archive_site(tmp_path, approvers=1)


def _words(vault: ArchiveSite, depot: Path) -> tuple[str | Path, ...]:
    options = ("--class", "high-risk", "--policy", vault.policy, "--key", vault.key("ray"))
    return ("archive", "add", depot, vault.archive, *options)


def _expect_whole(vault: ArchiveSite, records: int = 1) -> None:
    """Demand that the archive is as if nothing had happened, and that the ledger says so once."""
    listed = vault.run("list", vault.archive, "--json").json
    (bundle,) = listed["bundles"]
    assert (bundle["kept"], bundle["present"], listed["damaged_records"]) == (True, True, {})
    shown = vault.show(bundle["bundle"])
    assert {file["verdict"] for file in shown["evidence"]} == {"intact"}
    with vault.side.here():
        entries = list(history.read_entries("ward", "exporting"))
    recorded = [e.documents["record"].hex() for e in entries if e.event == "archived"]
    assert sorted(recorded) == sorted(record["id"] for record in shown["records"])
    assert len(recorded) == records


def _choose(steps: tuple[str, ...]) -> list[int]:
    """Return each step that gives a file its name, and all from the record on."""
    record = next(number for number, step in enumerate(steps) if step.startswith(_RECORD))
    named = [number for number, step in enumerate(steps) if step.startswith(("link ", "rename "))]
    return sorted({*named, *range(record, len(steps))})


def test_a_kill_before_any_step_that_counts_is_healed_by_the_next_run(
    vault: ArchiveSite, launcher: Launcher, tmp_path: Path
) -> None:
    depot, kept = vault.export("v1"), tmp_path / "kept"
    shutil.copytree(vault.side.state, kept)
    words = _words(vault, depot)
    whole = launcher.run(vault.side, *words, fault=Fault(at=100_000))
    assert whole.code == 0, whole.err
    chosen = _choose(whole.steps)
    assert len(chosen) > 20

    for step in chosen:
        shutil.rmtree(vault.archive)
        shutil.rmtree(vault.side.state)
        shutil.copytree(kept, vault.side.state)
        ended = launcher.run(vault.side, *words, fault=Fault(at=step))
        assert ended.killed, step
        again = launcher.run(vault.side, *words)
        assert again.code == 0, f"{ended.last}\n{again.err}"
        _expect_whole(vault)


def test_of_two_who_add_one_bundle_at_once_both_records_count(
    vault: ArchiveSite, launcher: Launcher
) -> None:
    words = _words(vault, vault.export("v1"))
    first = launcher.start(vault.side, *words, fault=Fault(signal.SIGSTOP, before=_RECORD))
    first.stopped()
    second = launcher.run(vault.side, *words)
    assert second.code == 0, second.err
    ended = first.go_on().end()
    assert ended.code == 0, ended.err
    _expect_whole(vault, len(vault.list_records()))
