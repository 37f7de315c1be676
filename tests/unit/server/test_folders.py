"""The drop box's folders: what is kept, what is removed, and which errors are raised."""

import os
from pathlib import Path

import pytest

from airgap.errors import ConflictError, StorageError
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.intake.daemon import check_not_root, lock_state

PACK = "packs/ab/ab" + "0" * 62 + ".pack"
HOUR = 3600.0


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads() -> OpenUploads:
    return OpenUploads()


@pytest.fixture
def folders(tmp_path: Path, clock: Clock, uploads: OpenUploads) -> DropFolders:
    retention = Retention(packs=HOUR, unfinished=10 * HOUR)
    return DropFolders(tmp_path / "state", {"ann": Quota(10**6, 100)}, uploads, retention, clock)


def _upload(folders: DropFolders, name: str, age: float, clock: Clock) -> Path:
    path = folders.home("ann") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"some")
    for aged in (path, *path.relative_to(folders.home("ann")).parents[:-1]):
        os.utime(folders.home("ann") / aged, (clock.now - age, clock.now - age))
    return path


@pytest.mark.parametrize(
    ("name", "age", "then"),
    [
        (PACK, HOUR - 1, "stays"),
        (PACK, HOUR + 1, "goes"),
        ("x.airgap.part", 10 * HOUR - 1, "stays"),
        ("x.airgap.part", 10 * HOUR + 1, "goes"),
        ("x.airgap.unfinished", 10 * HOUR + 1, "goes"),
        (f"{PACK}.part", 2 * HOUR, "stays"),
        ("bundles/" + "1" * 64 + "/manifest.msgpack", 1e6, "stays"),
    ],
)
def test_old_packs_and_unfinished_uploads_are_removed(
    name: str, age: float, then: str, folders: DropFolders, clock: Clock
) -> None:
    path = _upload(folders, name, age, clock)

    folders.clean_up(frozenset())

    assert path.exists() is (then == "stays")


def test_a_pack_of_an_incomplete_bundle_is_not_removed(folders: DropFolders, clock: Clock) -> None:
    path = _upload(folders, PACK, 100 * HOUR, clock)
    folders.clean_up(frozenset({Path(PACK)}))
    assert path.exists()

    clock.now += 100
    folders.clean_up(frozenset())

    assert not path.exists()


def test_an_open_upload_is_not_removed(
    folders: DropFolders, clock: Clock, uploads: OpenUploads
) -> None:
    path = _upload(folders, "x.airgap.part", 1e6, clock)
    assert uploads.begin(str(path))

    folders.clean_up(frozenset())

    assert path.exists()


def test_old_empty_folders_are_removed(folders: DropFolders, clock: Clock) -> None:
    _upload(folders, PACK, 100 * HOUR, clock)
    for _ in range(4):
        folders.clean_up(frozenset())
        for folder in folders.home("ann").rglob("*"):
            os.utime(folder, (0, 0))
        clock.now += 100

    assert not [*folders.home("ann").iterdir()]
    assert folders.home("ann").is_dir()


def test_clean_up_has_an_interval(folders: DropFolders, clock: Clock) -> None:
    folders.clean_up(frozenset())
    path = _upload(folders, PACK, 100 * HOUR, clock)
    clock.now += 1
    folders.clean_up(frozenset())

    assert path.exists()


def test_homes_are_paths_without_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    folders = DropFolders(tmp_path / "link", {"ann": Quota(1, 1)}, OpenUploads(), Retention(1, 1))

    assert folders.home("ann") == tmp_path / "real" / "incoming" / "ann"


def test_a_bundle_taken_incompletely_is_removed_at_the_next_start(folders: DropFolders) -> None:
    half = folders.state / "working" / "ann" / "20260101T000000Z-00000000"
    (half / "depot" / "packs").mkdir(parents=True)

    assert folders.recover_jobs() == []
    assert not half.exists()


def test_folders_on_several_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def stat_other_device(path: object, *args: object, **kwargs: object) -> os.stat_result:
        status = real(path, *args, **kwargs)  # type: ignore[arg-type]
        if str(path).endswith("held"):
            fields = list(status)
            fields[2] += 1
            return os.stat_result(fields)
        return status

    monkeypatch.setattr(os, "stat", stat_other_device)
    with pytest.raises(StorageError, match="several file systems"):
        DropFolders(tmp_path / "state", {"ann": Quota(1, 1)}, OpenUploads(), Retention(1, 1))


def test_two_daemons_cannot_share_a_state_folder(tmp_path: Path) -> None:
    lock = lock_state(tmp_path / "state")
    try:
        with pytest.raises(ConflictError):
            lock_state(tmp_path / "state")
    finally:
        os.close(lock)
    os.close(lock_state(tmp_path / "state"))


def test_root_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "root" in str(check_not_root())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert check_not_root() is None
