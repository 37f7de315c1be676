"""Senders who change a watched folder while `airgap watch --move-done` moves finished bundles."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import StorageError
from airgap.server import done_folder, watch
from airgap.server.intake.decisions import Verdict
from airgap.server.watch import Watch, WatchedFolder, WatchOptions
from tests.support import drop_box, stores
from tests.support.sides import Side
from tests.support.watched_folder import SETTLE, Watched


class _Killed(BaseException):
    """Stands for a kill: nothing in airgap catches it."""


@pytest.fixture
def watched(isolated: Side, tmp_path: Path) -> Watched:
    return Watched(isolated, tmp_path, move_done=True)


@pytest.fixture
def inside(isolated: Side, tmp_path: Path) -> Watched:
    """Finished bundles are moved below the watched folder."""
    return Watched(isolated, tmp_path, move_done=True, done_name="folder/done")


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def replace_archive(watched: Watched) -> None:
    target = watched.folder / "shop.airgap"
    target.unlink()
    target.write_bytes(b"no bundle at all" * 1000)


def replace_bundle(watched: Watched) -> None:
    (bundle,) = watched.folder.glob("depot/bundles/*")
    bundle.rename(watched.top / "taken away")
    stores.write_files(bundle, {"manifest.msgpack": b"no bundle at all" * 1000})


def import_and(then: Callable[[], None]) -> Callable[..., Verdict]:
    """Return what imports a bundle, and then lets its sender do something."""
    real = drop_box.run_in_process

    def run(*job: Any) -> Verdict:  # noqa: ANN401
        verdict = real(*job)
        then()
        return verdict

    return run


@pytest.mark.parametrize("form", ["archive", "depot"])
@pytest.mark.parametrize("moment", ["import", "kill"])
def test_what_takes_the_name_of_a_bundle_is_not_moved_as_that_bundle(
    moment: str,
    form: str,
    watched: Watched,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source: Path = request.getfixturevalue(form)
    replace = replace_archive if form == "archive" else replace_bundle
    copy = shutil.copy if form == "archive" else shutil.copytree
    copy(source, watched.folder / source.name)

    def kill(*_: object) -> None:
        raise _Killed

    with monkeypatch.context() as patch:
        if moment == "import":
            patch.setattr(drop_box, "run_in_process", import_and(partial(replace, watched)))
            watched.look()
        else:
            patch.setattr(WatchedFolder, "finish", kill)
            with pytest.raises(_Killed):
                watched.look()
    if moment == "kill":
        replace(watched)
        watched.begin()
        watched.look()

    assert watched.events("imported")
    assert list_files(watched.done) == []
    watched.look(later=SETTLE)
    watched.look(later=SETTLE)
    (refused,) = watched.events("quarantined")
    assert refused["kind"] == "corrupt"
    assert all(name.startswith("quarantined/") for name in list_files(watched.done))
    assert len(list_files(watched.done)) == 2, "the bundle, and the reason"


@pytest.mark.parametrize("link", ["done", "done/imported", "done/quarantined"])
def test_a_link_in_place_of_a_folder_of_finished_bundles_is_not_followed(
    link: str, archive: Path, inside: Watched
) -> None:
    (inside.top / "private").mkdir()
    (inside.folder / link).parent.mkdir(exist_ok=True)
    (inside.folder / link).symlink_to(inside.top / "private")
    shutil.copy(archive, inside.folder)
    (inside.folder / "bad.airgap").write_bytes(b"x" * 2000)
    for _ in range(3):
        inside.look(later=1e4)

    assert list_files(inside.top / "private") == []
    assert len(inside.events("imported")) == len(inside.events("quarantined")) == 1
    (inside.folder / link).unlink()
    inside.look(later=1e4)
    assert {"imported/shop.airgap", "quarantined/bad.airgap"} <= {*list_files(inside.done)}


def test_a_link_in_place_of_a_record_is_replaced(
    inside: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inside.top / "private").write_bytes(b"private")
    moved = done_folder.DoneFolder.open

    def plant(self: done_folder.DoneFolder, *names: str) -> Any:  # noqa: ANN401
        with moved(self, "quarantined"):
            for seen in json.loads((inside.state / "seen.json").read_bytes())["things"].values():
                path = inside.done / "quarantined" / f"{seen['arrival']}.reason.json"
                if not path.is_symlink() and not path.exists():
                    path.symlink_to(inside.top / "private")
        return moved(self, *names)

    monkeypatch.setattr(done_folder.DoneFolder, "open", plant)
    (inside.folder / "bad.airgap").write_bytes(b"x" * 2000)
    inside.look()
    inside.look(later=SETTLE)

    assert (inside.top / "private").read_bytes() == b"private"
    (reason,) = inside.done.glob("quarantined/*.reason.json")
    assert json.loads(reason.read_bytes())["kind"] == "corrupt"


def test_a_folder_on_the_way_to_a_bundle_that_became_a_link_is_not_entered(
    archive: Path, watched: Watched
) -> None:
    (watched.folder / "below").mkdir()
    (watched.top / "private").mkdir()
    shutil.copy(archive, watched.folder / "below")

    def swap() -> None:
        os.link(watched.folder / "below/shop.airgap", watched.top / "private/shop.airgap")
        (watched.folder / "below").rename(watched.top / "away")
        (watched.folder / "below").symlink_to(watched.top / "private")

    watched.meanwhile = swap
    watched.look()

    assert list_files(watched.top / "private") == ["shop.airgap"]
    assert list_files(watched.done) == []


@pytest.mark.parametrize("way", [".", "..", "link", "link/.", "sub/.."])
def test_the_watched_folder_is_recognized_however_it_is_written(
    way: str, isolated: Side, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "link").symlink_to(folder)

    ran = isolated.run("watch", folder, "--once", "--move-done", folder / way)

    assert ran.code == 2
    assert "is the watched folder, or a folder above it" in ran.err


@pytest.mark.parametrize("way", ["folder/done", "folder/../folder/done", "way/done", "sub/done"])
def test_finished_bundles_below_the_watched_folder_are_not_found_again(
    way: str, archive: Path, isolated: Side, tmp_path: Path
) -> None:
    (tmp_path / "way").symlink_to(tmp_path / "folder")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "sub").symlink_to(tmp_path / "folder" / "below")
    watched = Watched(isolated, tmp_path, move_done=True, done_name=way)
    shutil.copy(archive, watched.folder)
    watched.look()
    watched.look(later=SETTLE)

    assert len(watched.runs) == 1
    assert list_files(tmp_path / way) == ["imported/shop.airgap"]


def test_a_second_signal_while_it_stops_changes_nothing(isolated: Side, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ended = []

    def stop_again(event: Any) -> None:  # noqa: ANN401
        ended.append(event["event"])
        if event["event"] in ("watching", "stopped"):
            for _ in range(70_000 if event["event"] == "watching" else 2):  # more than a pipe takes
                watching.stop()

    options = WatchOptions(tmp_path / "folder", tmp_path / "state", None, False, 0.0, 5.0, None)  # noqa: FBT003  (as the command does)
    with isolated.here():
        watching = Watch(options, stop_again)
        watching.serve()

    assert ended == ["watching", "stopped"]


ENTRY = {
    "event": "imported",
    "arrival": "1",
    "bundle": "",
    "stamp": "2",
    "path": "x.airgap",
    "in_depot": "",
    "packs": [],
}


@pytest.mark.parametrize(
    "state",
    [
        [],
        {"things": []},
        {"things": {"x": []}},
        {"things": {"x": {}}},
        {"things": {"x": {**ENTRY, "path": 1}}},
        {"things": {"x": {**ENTRY, "path": "../x.airgap"}}},
        {"things": {"x": {**ENTRY, "path": "/x.airgap"}}},
        {"things": {"x": {**ENTRY, "packs": None}}},
        {"things": {"x": {**ENTRY, "packs": [1]}}},
        {"things": {"x": {**ENTRY, "in_depot": "../other"}}},
        {"things": {"x": {**ENTRY, "event": ["imported"]}}},
        {"things": {"x": {**ENTRY, "event": "../imported"}}},
        {"things": {"x": {**ENTRY, "copied_to": 1}}},
    ],
    ids=str,
)
def test_a_state_file_of_another_shape_is_damaged(state: object, tmp_path: Path) -> None:
    stores.write_files(tmp_path, {"state/seen.json": json.dumps(state).encode()})

    with pytest.raises(StorageError, match="is damaged"):
        WatchedFolder(tmp_path / "folder", tmp_path / "state")


def test_a_state_file_that_is_too_deep_is_damaged(tmp_path: Path) -> None:
    stores.write_files(tmp_path, {"state/seen.json": b"[" * 100_000})

    with pytest.raises(StorageError, match="is damaged"):
        WatchedFolder(tmp_path / "folder", tmp_path / "state")


def test_a_bundle_that_was_seen_again_is_not_forgotten_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_REMEMBERED", 2)
    folder = WatchedFolder(tmp_path, tmp_path / "state")
    for name in ("a", "b", "a", "c"):
        (tmp_path / name).touch()
        folder._remember(name, {**ENTRY, "path": name})

    assert [*folder._seen] == ["a", "c"]
