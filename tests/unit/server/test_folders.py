"""The drop box's folders: what is kept, what is removed, and what is in the way."""

import os
from pathlib import Path

import pytest

from airgap.errors import ConflictError, StorageError
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.upload_names import OpenUploads, Quota
from airgap.server.intake.daemon import only_one, warning_for_root

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
def desk() -> OpenUploads:
    return OpenUploads()


@pytest.fixture
def house(tmp_path: Path, clock: Clock, desk: OpenUploads) -> DropFolders:
    retention = Retention(packs=HOUR, unfinished=10 * HOUR)
    return DropFolders(tmp_path / "state", {"ann": Quota(10**6, 100)}, desk, retention, clock)


def _upload(house: DropFolders, name: str, age: float, clock: Clock) -> Path:
    path = house.home("ann") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"some")
    for one in (path, *path.relative_to(house.home("ann")).parents[:-1]):
        os.utime(house.home("ann") / one, (clock.now - age, clock.now - age))
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
def test_what_is_old_and_unfinished_is_removed(
    name: str, age: float, then: str, house: DropFolders, clock: Clock
) -> None:
    path = _upload(house, name, age, clock)

    house.tidy(frozenset())

    assert path.exists() is (then == "stays")


def test_a_pack_that_a_bundle_waits_with_is_not_removed(house: DropFolders, clock: Clock) -> None:
    path = _upload(house, PACK, 100 * HOUR, clock)
    house.tidy(frozenset({Path(PACK)}))
    assert path.exists()

    clock.now += 100
    house.tidy(frozenset())

    assert not path.exists()


def test_what_is_being_written_is_not_removed(
    house: DropFolders, clock: Clock, desk: OpenUploads
) -> None:
    path = _upload(house, "x.airgap.part", 1e6, clock)
    assert desk.begin(str(path))

    house.tidy(frozenset())

    assert path.exists()


def test_empty_folders_go_when_they_are_old(house: DropFolders, clock: Clock) -> None:
    _upload(house, PACK, 100 * HOUR, clock)
    for _ in range(4):
        house.tidy(frozenset())
        for folder in house.home("ann").rglob("*"):
            os.utime(folder, (0, 0))
        clock.now += 100

    assert not [*house.home("ann").iterdir()]
    assert house.home("ann").is_dir()


def test_tidying_is_not_done_all_the_time(house: DropFolders, clock: Clock) -> None:
    house.tidy(frozenset())
    path = _upload(house, PACK, 100 * HOUR, clock)
    clock.now += 1
    house.tidy(frozenset())

    assert path.exists()


def test_what_is_being_written_is_known_through_links_too(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    house = DropFolders(tmp_path / "link", {"ann": Quota(1, 1)}, OpenUploads(), Retention(1, 1))

    assert house.home("ann") == tmp_path / "real" / "incoming" / "ann"


def test_what_was_never_taken_completely_is_removed_at_the_next_start(house: DropFolders) -> None:
    half = house.state / "working" / "ann" / "20260101T000000Z-00000000"
    (half / "depot" / "packs").mkdir(parents=True)

    assert house.begun() == []
    assert not half.exists()


def test_folders_of_several_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def elsewhere(path: object, *args: object, **named: object) -> os.stat_result:
        found = real(path, *args, **named)  # type: ignore[arg-type]
        if str(path).endswith("held"):
            fields = list(found)
            fields[2] += 1
            return os.stat_result(fields)
        return found

    monkeypatch.setattr(os, "stat", elsewhere)
    with pytest.raises(StorageError, match="several file systems"):
        DropFolders(tmp_path / "state", {"ann": Quota(1, 1)}, OpenUploads(), Retention(1, 1))


def test_a_service_is_alone_in_its_folder(tmp_path: Path) -> None:
    lock = only_one(tmp_path / "state")
    try:
        with pytest.raises(ConflictError):
            only_one(tmp_path / "state")
    finally:
        os.close(lock)
    os.close(only_one(tmp_path / "state"))


def test_root_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "root" in str(warning_for_root())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert warning_for_root() is None
