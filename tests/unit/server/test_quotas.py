"""Quotas, the files of uploads, and what is remembered of them."""

import errno
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

from airgap.server.dropbox.open_uploads import DeliveredSizes, OpenUploads
from airgap.server.dropbox.quotas import Quota
from airgap.server.dropbox.upload_file import UploadFile


def _expect_full(call: object, *arguments: int) -> None:
    with pytest.raises(OSError, match="Quota") as raised:
        call(*arguments)  # type: ignore[operator]
    assert raised.value.errno == errno.EDQUOT


def _measure(quota: Quota, folder: Path) -> int:
    """Measure a folder; return in how many steps."""
    return len([*quota.measure([folder])])


def test_a_quota_is_exact_to_the_byte() -> None:
    quota = Quota(100, 2)
    quota.grow(99, 1)
    _expect_full(quota.grow, 2)
    quota.grow(1, 1)
    _expect_full(quota.grow, 0, 1)

    assert quota.used == (100, 2)
    assert not quota.has_room()


def test_a_measurement_replaces_the_count(tmp_path: Path) -> None:
    quota = Quota(100, 10)
    quota.grow(60, 3)
    (tmp_path / "file").write_bytes(bytes(7))
    (tmp_path / "again").hardlink_to(tmp_path / "file")

    _measure(quota, tmp_path)

    assert quota.used == (7, 2)


@pytest.mark.parametrize("files", [0, 1])
def test_many_small_folders_are_measured_in_steps(
    files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.server.dropbox.quotas._NAMES_PER_STEP", 10)
    for folder in range(100):
        (tmp_path / f"{folder}" / "below").mkdir(parents=True)
        for file in range(files):
            (tmp_path / f"{folder}" / f"{file}").touch()

    assert _measure(Quota(100, 1000), tmp_path) == 20 + 10 * files


def test_growth_during_a_measurement_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(100, 10)

    def measure_while_growing(_: object) -> Generator[None, None, tuple[int, int]]:
        quota.grow(5, 1)
        yield
        return 10, 1

    monkeypatch.setattr("airgap.server.dropbox.quotas.measure_usage", measure_while_growing)
    _measure(quota, tmp_path)

    assert quota.used == (15, 2)


def test_a_measurement_is_discarded_if_anything_shrinks_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(100, 10)
    quota.grow(50, 5)

    def measure_while_shrinking(_: object) -> Generator[None, None, tuple[int, int]]:
        quota.grow(-10, -1)
        yield
        return 0, 0

    monkeypatch.setattr("airgap.server.dropbox.quotas.measure_usage", measure_while_shrinking)
    _measure(quota, tmp_path)

    assert quota.used == (40, 4)


def test_overwriting_does_not_count(tmp_path: Path) -> None:
    quota, uploads, path = Quota(10, 1), OpenUploads(), tmp_path / "file"
    path.write_bytes(bytes(8))
    assert uploads.begin(str(path))
    assert not uploads.begin(str(path))
    with path.open("r+b", buffering=0) as stream:
        file = UploadFile(str(path), stream, quota, uploads)
        file.write(bytes(8))
        assert quota.used == (0, 0)
        file.seek(6)
        file.write(bytes(12))
        _expect_full(file.write, b"x")  # type: ignore[arg-type]
        file.close()

    assert quota.used == (10, 0)
    assert path.stat().st_size == 18
    assert not uploads.is_open(path)


def test_many_files_are_measured_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airgap.server.dropbox.quotas._NAMES_PER_STEP", 3)
    for number in range(10):
        (tmp_path / f"{number}").touch()
    quota = Quota(100, 100)

    assert _measure(quota, tmp_path) == 3
    assert quota.used == (0, 10)


def test_an_upload_leaves_the_disk_the_space_it_must_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota, uploads, path = Quota(10**6, 1), OpenUploads(), tmp_path / "file"
    free = [1100, 1050, 1010, 1005]

    def disk_usage(_: int) -> SimpleNamespace:
        return SimpleNamespace(free=free.pop(0))

    monkeypatch.setattr("shutil.disk_usage", disk_usage)
    with path.open("w+b", buffering=0) as stream:
        file = UploadFile(str(path), stream, quota, uploads, keep_free=1000)
        for size in (1, 50, 40, 25, 6):
            file.write(bytes(size))
        with pytest.raises(OSError, match="No space left") as raised:
            file.write(bytes(6))

    assert raised.value.errno == errno.ENOSPC
    assert quota.used == (122, 0)


def test_the_oldest_delivery_is_forgotten() -> None:
    delivered = DeliveredSizes()
    for number in range(10_001):
        delivered.add(f"{number}", number)

    assert delivered.get("0") is None
    assert delivered.get("10000") == 10_000
