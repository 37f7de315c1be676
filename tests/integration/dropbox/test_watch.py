"""`airgap watch`: a folder that others write to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.server.intake.decisions import Verdict
from airgap.server.intake.worker import Operation, Worker
from airgap.server.moving import FolderEntry
from airgap.server.watch import Watch, WatchOptions
from tests.support import drop_box, store_invariants, stores
from tests.support.sides import Ran, Side
from tests.support.watched_folder import SETTLE, Watched


@pytest.fixture
def watched(isolated: Side, tmp_path: Path) -> Watched:
    return Watched(isolated, tmp_path)


def test_a_complete_archive_is_imported_at_once_and_only_once(
    archive: Path, small: Side, watched: Watched
) -> None:
    shutil.copy(archive, watched.folder)
    before = stores.snapshot(watched.folder)
    watched.look()
    watched.look()
    watched.begin()
    watched.look()

    assert store_invariants.items(watched.side) == store_invariants.items(small)
    assert len(watched.runs) == 1
    assert stores.snapshot(watched.folder) == before


def test_a_growing_archive_is_waited_for_without_limit(archive: Path, watched: Watched) -> None:
    data, target = archive.read_bytes(), watched.folder / "shop.airgap"
    for size in (0, 100, 60_000, 100_000, len(data) - 1):
        target.write_bytes(data[:size])
        watched.look()
        watched.look(later=1e7)
        assert watched.runs == []
        assert watched.status()["waiting"][0]["state"] == "arriving"
    target.write_bytes(data)
    watched.look()

    assert watched.events("imported")
    assert not watched.events("quarantined")


def test_a_preallocated_archive_is_waited_for(archive: Path, watched: Watched) -> None:
    data, target = archive.read_bytes(), watched.folder / "shop.airgap"
    target.write_bytes(data[:80_000] + bytes(len(data) - 80_000))
    watched.look()
    watched.look(later=1e6)
    assert watched.runs == []
    target.write_bytes(data)
    watched.look()

    assert watched.events("imported")


def test_an_archive_that_changes_while_it_is_read_is_checked_again(
    archive: Path, watched: Watched
) -> None:
    data, target = archive.read_bytes(), watched.folder / "shop.airgap"
    target.write_bytes(data[:-300_000] + bytes(200_000) + data[-100_000:])

    def go_on() -> None:
        target.write_bytes(data)
        watched.meanwhile = target.touch

    def broken() -> None:
        target.write_bytes(data[:200_000] + bytes(100) + data[200_100:])
        watched.meanwhile = go_on

    watched.meanwhile = broken
    watched.look()
    assert len(watched.events("changed")) == 1
    watched.look()
    watched.look(later=SETTLE - 1)
    assert len(watched.runs) == 1, "not again before it has settled"
    target.write_bytes(data)
    watched.look()
    watched.look(later=SETTLE)

    assert watched.events("imported")
    assert not watched.events("quarantined")


def test_a_depot_is_imported_when_its_last_pack_is_there(
    depot: Path, small: Side, watched: Watched
) -> None:
    target = watched.folder / "some" / "depot"
    shutil.copytree(depot, target)
    packs = sorted(target.glob("packs/*/*"))
    for pack in packs:
        shutil.move(pack, watched.top / pack.name)
    watched.look()
    watched.look(later=1e6)
    assert watched.runs == []
    assert watched.status()["waiting"][0]["what"] == "2 of 2 packs are still to come"
    for pack in packs:
        shutil.move(watched.top / pack.name, pack)
    watched.look()

    assert store_invariants.items(watched.side) == store_invariants.items(small)


def test_a_refusal_is_final_only_after_settling(depot: Path, watched: Watched) -> None:
    target = watched.folder / "depot"
    shutil.copytree(depot, target)
    (signature,) = target.glob("bundles/*/builder.*.dsse")
    signature.rename(watched.top / "signature")
    watched.look()
    watched.look(later=SETTLE - 1)
    assert watched.status()["waiting"][0]["kind"] == "not-trusted"
    (watched.top / "signature").rename(signature)
    watched.look()

    assert watched.events("imported")
    assert not watched.events("quarantined")


def test_a_refused_bundle_is_recorded_with_the_reason_and_not_retried(
    watched: Watched,
) -> None:
    (watched.folder / "photo.airgap").write_bytes(b"GIF89a" + bytes(2000))
    for later in (0, SETTLE, 1, 1e6):
        watched.look(later)

    (event,) = watched.events("quarantined")
    assert event["kind"] == "corrupt"
    (reason,) = (watched.state / "quarantine").glob("*.json")
    assert json.loads(reason.read_bytes())["message"] == event["message"]
    assert watched.status()["quarantine"][0]["name"] == "photo.airgap"
    assert (watched.folder / "photo.airgap").exists()


def test_a_replaced_archive_is_checked_again(archive: Path, watched: Watched) -> None:
    target = watched.folder / "shop.airgap"
    target.write_bytes(archive.read_bytes()[:-90_000] + bytes(90_000))
    target.write_bytes(b"no bundle at all" * 1000)
    watched.look()
    watched.look(later=SETTLE)
    assert watched.events("quarantined")
    shutil.copy(archive, target)
    watched.look()

    assert watched.events("imported")


def test_a_bundle_with_a_replaced_pack_is_checked_again(depot: Path, watched: Watched) -> None:
    target = watched.folder / "depot"
    shutil.copytree(depot, target)
    pack = max(target.glob("packs/*/*"), key=lambda path: path.stat().st_size)
    good = pack.read_bytes()
    pack.write_bytes(bytes(len(good)))
    watched.look()
    assert watched.events("quarantined")[0]["kind"] == "corrupt"
    pack.unlink()
    pack.write_bytes(good)
    watched.look()

    assert watched.events("imported")


def test_errors_of_this_machine_put_no_bundle_in_quarantine(
    archive: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(archive, watched.folder)
    trust = watched.side.state / "trust"
    trust.rename(watched.top / "elsewhere")
    watched.look()
    watched.look(later=1e6)
    assert watched.status()["waiting"][0]["kind"] == "configuration"
    (watched.top / "elsewhere").rename(trust)
    monkeypatch.setattr(
        drop_box, "run_in_process", lambda *_: Verdict("storage", "Full.", "Free some.")
    )
    watched.look()
    watched.look()
    assert watched.status()["put_off"][0]["message"] == "Full."
    assert len(watched.runs) == 1
    monkeypatch.undo()
    watched.look(later=10)

    assert watched.events("imported")
    assert not watched.events("quarantined")


def test_a_bundle_that_crashes_the_import_is_tried_three_times(
    archive: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(archive, watched.folder)
    monkeypatch.setattr(drop_box, "run_in_process", lambda *_: Verdict("bug", "Killed.", "Look."))
    for _ in range(10):
        watched.look(later=1e4)

    assert len(watched.runs) == 3
    assert watched.events("quarantined")


def test_a_held_bundle_is_verified_and_not_imported(
    archive: Path, isolated: Side, tmp_path: Path
) -> None:
    watched = Watched(isolated, tmp_path, hold=True)
    shutil.copy(archive, watched.folder)
    watched.look()

    assert watched.runs[0].startswith("verify ")
    assert watched.events("held")
    assert not isolated.bentoml.exists()


def test_finished_bundles_are_moved_if_requested(
    archive: Path, depot: Path, isolated: Side, tmp_path: Path
) -> None:
    watched = Watched(isolated, tmp_path, move_done=True)
    shutil.copy(archive, watched.folder)
    shutil.copytree(depot, watched.folder / "depot")
    (watched.folder / "bad.airgap").write_bytes(b"x" * 2000)
    watched.look()
    watched.look(later=SETTLE)
    shutil.copy(archive, watched.folder)
    watched.look()

    moved = {str(path.relative_to(watched.done)) for path in watched.done.glob("*/*")}
    assert {"imported/shop.airgap", "imported/2.shop.airgap", "imported/bundles"} <= moved
    assert "quarantined/bad.airgap" in moved
    assert [*watched.done.glob("quarantined/*.reason.json")]
    assert not [*watched.folder.glob("*.airgap")]
    assert [*watched.folder.glob("depot/packs/*/*")], "others may share them"


def test_links_and_special_files_are_ignored(archive: Path, watched: Watched) -> None:
    (watched.folder / "link.airgap").symlink_to(archive)
    (watched.folder / "folder").symlink_to(archive.parent)
    os.mkfifo(watched.folder / "pipe.airgap")
    (watched.folder / ".hidden.airgap").write_bytes(archive.read_bytes())
    watched.look()
    watched.look(later=SETTLE)

    assert watched.runs == []
    assert watched.status()["waiting"] == []


def test_a_damaged_state_file_is_reported(watched: Watched) -> None:
    (watched.state / "seen.json").write_text("[]")
    (watched.folder / "x").mkdir()

    ran = watched.side.run("watch", watched.folder, "--state", watched.state, "--once")

    assert ran.code == 15
    assert "checked again" in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watch_imports_in_a_child_process_and_stops_on_a_signal(
    number: int, archive: Path, isolated: Side, small: Side, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    command = [sys.executable, "-m", "airgap", "watch", str(folder), "--json", "--interval", "0.1"]
    with (
        isolated.here(),
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        lines = process.stderr or iter(())
        assert any('"watching"' in line for line in lines)
        shutil.copy(archive, folder / "shop.part")
        (folder / "shop.part").rename(folder / "shop.airgap")
        assert any('"imported"' in line for line in lines)
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert json.loads(out)["stopped"] is True
    assert store_invariants.items(isolated) == store_invariants.items(small)


def test_a_missing_folder_is_reported(isolated: Side, tmp_path: Path) -> None:
    assert isolated.run("watch", tmp_path / "nothing").code == 13


def test_a_bundle_that_cannot_be_moved_is_imported_once(
    archive: Path, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(isolated, tmp_path, move_done=True)
    shutil.copy(archive, watched.folder)

    def closed(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("airgap.server.moving.FolderEntry.rename", closed)
    for _ in range(5):
        watched.look(later=1e5)
    assert len(watched.runs) == 1
    assert len(watched.events("imported")) == 1
    monkeypatch.undo()
    watched.look(later=1e5)

    assert (watched.done / "imported" / "shop.airgap").exists()


def test_a_damaged_ledger_puts_no_bundle_in_quarantine(archive: Path, watched: Watched) -> None:
    shutil.copy(archive, watched.folder)
    (ledger,) = (
        path for path in watched.side.state.rglob("*") if "ledger" in path.name and path.is_file()
    )
    good = ledger.read_bytes()
    ledger.write_bytes(b"x" * len(good))
    watched.look()
    watched.look(later=1e6)
    assert watched.status()["waiting"][0]["state"] == "put off"
    ledger.write_bytes(good)
    watched.look()

    assert watched.events("imported")
    assert not watched.events("quarantined")


def test_finished_bundles_are_copied_across_file_systems(
    archive: Path, depot: Path, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(isolated, tmp_path, move_done=True)
    shutil.copy(archive, watched.folder)
    shutil.copytree(depot, watched.folder / "depot")
    real = FolderEntry.rename

    def other_disk(self: FolderEntry, target: FolderEntry) -> None:
        if self.folder != target.folder:
            raise OSError(18, "Invalid cross-device link")
        real(self, target)

    monkeypatch.setattr(FolderEntry, "rename", other_disk)
    watched.look()

    assert (watched.done / "imported" / "shop.airgap").read_bytes() == archive.read_bytes()
    assert [*watched.done.glob("imported/bundles/*/manifest.msgpack")]
    assert not [*watched.folder.glob("*.airgap")]
    assert not [*watched.folder.glob("depot/bundles/*")]


# ---- one check, from cron


@dataclass
class Checks:
    """Runs `airgap watch --once` on a folder, each time as a new process would."""

    side: Side
    folder: Path

    def run(self, *options: str | Path) -> Ran:
        state = self.folder.with_name("state")
        return self.side.run("watch", self.folder, "--once", "--state", state, *options)


@pytest.fixture
def checks(isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checks:
    monkeypatch.setattr(Worker, "run", lambda _, *job: drop_box.run_in_process(*job))
    monkeypatch.setattr("airgap.server.intake.daemon.check_not_root", lambda: "Running as root.")
    (tmp_path / "folder").mkdir()
    return Checks(isolated, tmp_path / "folder")


def test_a_check_ends_with_the_worst_verdict_and_lists_all(archive: Path, checks: Checks) -> None:
    shutil.copy(archive, checks.folder)
    (checks.folder / "bad.airgap").write_bytes(b"x" * 2000)
    (checks.folder / "half.airgap").write_bytes(archive.read_bytes()[:-100_000])
    ran = checks.run("--json", "--settle", "0")

    assert ran.code == 10
    assert ran.json["verdict"] == "corrupt"
    assert ran.json["counts"] == {"arriving": 1, "imported": 1, "quarantined": 1}
    items = {item["name"]: item for item in ran.json["items"]}
    assert items.keys() == {archive.name, "bad.airgap", "half.airgap"}
    assert {item["tag"] for item in items[archive.name]["items"]} == {"shop:v1", "ranker:v1"}
    assert items["bad.airgap"]["kind"] == "corrupt"
    assert items["bad.airgap"]["message"]


def test_a_bundle_that_was_refused_is_named_until_it_is_gone(checks: Checks) -> None:
    bad = checks.folder / "bad.airgap"
    bad.write_bytes(b"x" * 2000)
    assert checks.run("--settle", "0").code == 10
    again = checks.run()

    assert again.code == 10
    assert "bad.airgap: refused before on 20" in again.out
    assert "1 refused before." in again.out
    bad.unlink()
    assert checks.run().code == 0


def test_a_bundle_with_a_name_in_capitals_is_imported(archive: Path, checks: Checks) -> None:
    shutil.copy(archive, checks.folder / "SHOP.AIRGAP")

    assert checks.run("--json").json["counts"] == {"imported": 1}


def test_a_folder_that_is_not_searched_ends_a_check_with_its_numbers(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.format.limits.FOLDER_NAMES", 2)
    for name in ("1.airgap", "2", "3"):
        (checks.folder / name).touch()
    ran = checks.run("--json")

    assert ran.code == 15
    (item,) = ran.json["items"]
    assert (item["verdict"], item["kind"]) == ("trouble", "storage")
    assert "holds 3 names or more, and at most 2 are searched" in item["message"]
    assert item["hint"]


@pytest.mark.parametrize("done", [".", ".."])
def test_finished_bundles_are_not_moved_to_where_nothing_is_looked_for(
    done: str, checks: Checks
) -> None:
    target = checks.folder.parent if done == ".." else checks.folder

    assert checks.run("--move-done", target).code == 2


def test_a_bundle_that_is_refused_so_far_is_not_well(checks: Checks) -> None:
    (checks.folder / "bad.airgap").write_bytes(b"x" * 2000)
    ran = checks.run("--json")

    assert ran.code == 10
    assert ran.json["counts"] == {"refused so far": 1}


def test_a_quiet_check_prints_nothing_unless_something_is_wrong(
    archive: Path, checks: Checks
) -> None:
    shutil.copy(archive, checks.folder)
    well = checks.run("-q")
    (checks.folder / "bad.airgap").write_bytes(b"x" * 2000)
    ill = checks.run("-q", "--settle", "0")

    assert (well.code, well.out, well.err) == (0, "", "")
    assert ill.code == 10
    assert ill.out.startswith("bad.airgap: quarantined: ")
    assert ill.err == ""


def test_a_bundle_that_has_not_changed_for_long_is_refused_at_once(
    isolated: Side, tmp_path: Path
) -> None:
    """A check from cron begins anew each time, and could otherwise never refuse anything."""
    watched = Watched(isolated, tmp_path, wall_clock=lambda: time.time() + SETTLE)
    (watched.folder / "photo.airgap").write_bytes(b"GIF89a" + bytes(2000))
    watched.look()

    assert watched.events("quarantined")


def test_a_check_that_is_stopped_says_so(isolated: Side, tmp_path: Path, archive: Path) -> None:
    (tmp_path / "folder").mkdir()
    shutil.copy(archive, tmp_path / "folder")
    options = WatchOptions(
        tmp_path / "folder",
        tmp_path / "state",
        None,
        hold=False,
        settle=0,
        interval=1,
        jobs=None,
        once=True,
    )

    def stopped(_operation: Operation, _location: object, _depots: object) -> Verdict:
        watch.stop()
        return Verdict("interrupted", "Stopped.")

    with isolated.here():
        watch = Watch(options, lambda _: None, stopped)
        assert watch.check_once().kind == "interrupted"


def test_the_bundles_that_are_gone_are_forgotten_first(
    isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.watch.MAX_REMEMBERED", 2)
    watched = Watched(isolated, tmp_path)
    for name in ("1", "2", "3"):
        (watched.folder / f"{name}.airgap").write_bytes(b"x" * 2000)
        watched.look()
        watched.look(later=SETTLE)
        if name == "2":
            (watched.folder / "2.airgap").unlink()

    seen = json.loads((watched.state / "seen.json").read_bytes())["things"]
    assert [*seen] == ["1.airgap", "3.airgap"]
