"""The drop box's folders: what is kept, what is removed, and which errors are raised."""

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from airgap.errors import ConflictError, StorageError
from airgap.server.dropbox.folders import DropFolders, Retention
from airgap.server.dropbox.open_uploads import OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.intake.daemon import check_not_root, lock_state
from airgap.server.intake.intake_folder import Candidate

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


def _clean_up(folders: DropFolders, *needed: Path) -> None:
    for _ in folders.clean_up("ann", frozenset(needed)):
        pass


@pytest.mark.parametrize(
    ("name", "age", "then"),
    [
        (PACK, HOUR - 1, "stays"),
        (PACK, HOUR + 1, "goes"),
        ("x.airgap.part", 10 * HOUR - 1, "stays"),
        ("x.airgap.part", 10 * HOUR + 1, "goes"),
        ("x.airgap.filepart", 10 * HOUR + 1, "goes"),
        ("x.airgap.1a2b3c4d.partial", 10 * HOUR + 1, "goes"),
        (".in.x.airgap", 10 * HOUR + 1, "goes"),
        ("x.airgap.unfinished", 10 * HOUR + 1, "goes"),
        (f"{PACK}.part", 2 * HOUR, "stays"),
        ("bundles/" + "1" * 64 + "/manifest.msgpack", 1e6, "stays"),
    ],
)
def test_old_packs_and_unfinished_uploads_are_removed(
    name: str, age: float, then: str, folders: DropFolders, clock: Clock
) -> None:
    path = _upload(folders, name, age, clock)

    _clean_up(folders)

    assert path.exists() is (then == "stays")


def test_a_pack_of_an_incomplete_bundle_is_not_removed(folders: DropFolders, clock: Clock) -> None:
    path = _upload(folders, PACK, 100 * HOUR, clock)
    _clean_up(folders, Path(PACK))
    assert path.exists()

    clock.now += 100
    _clean_up(folders)

    assert not path.exists()


def test_an_open_upload_is_not_removed(
    folders: DropFolders, clock: Clock, uploads: OpenUploads
) -> None:
    path = _upload(folders, "x.airgap.part", 1e6, clock)
    assert uploads.begin(str(path))

    _clean_up(folders)

    assert path.exists()


def test_old_empty_folders_are_removed(folders: DropFolders, clock: Clock) -> None:
    _upload(folders, PACK, 100 * HOUR, clock)
    for _ in range(4):
        _clean_up(folders)
        for folder in folders.home("ann").rglob("*"):
            os.utime(folder, (0, 0))
        clock.now += 100

    assert not [*folders.home("ann").iterdir()]
    assert folders.home("ann").is_dir()


def test_clean_up_has_an_interval(folders: DropFolders, clock: Clock) -> None:
    _clean_up(folders)
    path = _upload(folders, PACK, 100 * HOUR, clock)
    clock.now += 1
    _clean_up(folders)

    assert path.exists()


def _upload_pack(folders: DropFolders, content: bytes, digest: str = "") -> Path:
    """Upload a pack that is still unfinished, under its digest or another one."""
    digest = digest or hashlib.sha256(content).hexdigest()
    path = folders.home("ann") / "packs" / digest[:2] / f"{digest}.pack.unfinished"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_complete_pack_gets_its_name_and_a_wrong_one_does_not(folders: DropFolders) -> None:
    right, wrong = _upload_pack(folders, b"right"), _upload_pack(folders, b"wrong", "ab" * 32)
    for _ in range(2):
        assert set(folders.find_candidates("ann")) == {None}

    assert right.with_suffix("").read_bytes() == b"right"
    assert wrong.exists()
    assert not right.exists()


def test_an_upload_that_its_sender_removes_meanwhile_stops_no_other(folders: DropFolders) -> None:
    gone, complete = _upload_pack(folders, b"x", "aa" * 32), _upload_pack(folders, b"complete")
    for number, _ in enumerate(folders.find_candidates("ann")):
        if number == 0:
            gone.unlink()

    assert complete.with_suffix("").exists()


def test_a_bundle_is_not_taken_before_its_sender_has_renamed_its_files(
    folders: DropFolders, clock: Clock
) -> None:
    bundle = f"bundles/{'1' * 64}"
    _upload(folders, f"{bundle}/manifest.msgpack", 0, clock)
    upload = _upload(folders, f"{bundle}/checksums.txt.1a2b3c4d.partial", 5, clock)

    assert not any(folders.find_candidates("ann"))
    os.utime(upload, (clock.now - 11, clock.now - 11))
    assert any(folders.find_candidates("ann")), "its sender has left it"


def test_many_names_are_looked_at_in_slices(
    folders: DropFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.folders._NAMES_PER_SLICE", 10)
    for number in range(100):
        (folders.home("ann") / f"{number}.pack").touch()

    assert [*folders.find_candidates("ann")] == [None] * 10


def test_wrong_packs_are_removed_in_slices(
    folders: DropFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.folders._NAMES_PER_SLICE", 10)
    depot, home = folders.state / "depot", folders.home("ann") / "depot"
    for number in range(100):
        names = [top / "packs" / "ab" / f"ab{number:062x}.pack" for top in (depot, home)]
        for name in names:
            name.parent.mkdir(parents=True, exist_ok=True)
        names[0].touch()
        if number:
            names[1].hardlink_to(names[0])
        else:
            names[1].touch()
    job = SimpleNamespace(user="ann")

    steps = len([*folders._remove_wrong_packs(job, depot)])  # type: ignore[arg-type]

    assert [path.name for path in home.rglob("*.pack")] == [f"ab{0:062x}.pack"]
    assert steps >= 10


def test_a_long_pack_is_hashed_in_slices(
    folders: DropFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.upload_digests.SLICE_BYTES", 4)
    path = _upload_pack(folders, b"ten bytes.")
    passes = 0
    while path.exists():
        passes += 1
        assert [*folders.find_candidates("ann")] == [None]

    assert passes == 3


def test_the_status_lists_the_newest_and_reads_each_record_once(
    folders: DropFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "3"):
        record = folders.state / "quarantine" / "ann" / name / "reason.json"
        record.parent.mkdir()
        record.write_text(f'{{"name": "{name}"}}')

    status = folders.describe(2)
    monkeypatch.setattr(Path, "read_bytes", None)

    assert [entry["name"] for entry in status["quarantine"]] == ["2", "3"]
    assert folders.describe(2) == status


def test_what_a_former_user_has_left_is_still_cleaned_up(folders: DropFolders) -> None:
    (folders.state / "incoming" / "former").mkdir()
    again = DropFolders(folders.state, {"ann": Quota(1, 1)}, OpenUploads(), Retention(1, 1))

    assert again.users() == ["ann", "former"]
    assert [*again.find_candidates("former")] == []


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


def test_an_archive_with_a_name_in_capitals_is_taken_and_recovered(
    folders: DropFolders, clock: Clock
) -> None:
    _upload(folders, "SHOP.AIRGAP", 0, clock)
    (candidate,) = (found for found in folders.find_candidates("ann") if found)
    assert isinstance(candidate, Candidate)
    job = folders.take(candidate, None)

    assert candidate.finished
    assert job is not None
    assert job.location.path.name == "SHOP.AIRGAP"
    assert [recovered.location for recovered in folders.recover_jobs()] == [job.location]


@pytest.mark.parametrize("text", ["{}", "[", "[]", "[" * 100_000, '{"event": "removed"}'], ids=len)
def test_a_job_whose_record_is_damaged_is_done_again(text: str, folders: DropFolders) -> None:
    folder = folders.state / "working" / "ann" / "20200101T000000Z-00000000"
    folder.mkdir()
    (folder / "x.airgap").write_bytes(b"bundle")
    (folder / "reason.json").write_text(text)

    (job,) = folders.recover_jobs()

    assert (job.name, job.record) == ("x.airgap", None)
