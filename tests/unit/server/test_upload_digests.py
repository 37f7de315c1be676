"""Digests of uploads: read in slices, and only what is new."""

import hashlib
import os
from pathlib import Path

import pytest

from airgap.server.dropbox import upload_digests
from airgap.server.dropbox.upload_digests import UploadDigests

SLICE = 1000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Read small slices; return how many bytes each read gave."""
    monkeypatch.setattr(upload_digests, "SLICE_BYTES", SLICE)
    sizes: list[int] = []
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = real(descriptor, size, offset)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    return sizes


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(b"a" * 2500)
    return path


def _sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def test_a_file_is_read_in_slices(upload: Path, reads: list[int]) -> None:
    digests = UploadDigests()

    assert [digests.read_slice(upload) for _ in range(3)] == [None, None, _sha256(upload)]
    assert sum(reads) == 2500


def test_a_file_that_grew_is_not_read_again(upload: Path, reads: list[int]) -> None:
    digests = UploadDigests()
    for _ in range(3):
        digests.read_slice(upload)
    with upload.open("ab") as file:
        file.write(b"bc")
    reads.clear()

    assert digests.read_slice(upload) == _sha256(upload)
    assert sum(reads) == 2
    reads.clear()
    assert digests.read_slice(upload) == _sha256(upload)
    assert sum(reads) == 0


def test_an_overwritten_file_is_read_again(upload: Path, reads: list[int]) -> None:
    digests = UploadDigests()
    for _ in range(3):
        digests.read_slice(upload)
    digests.overwrite(str(upload), 2400)
    with upload.open("r+b") as file:
        file.seek(2400)
        file.write(b"x")
    reads.clear()

    assert [digests.read_slice(upload) for _ in range(3)] == [None, None, _sha256(upload)]


def test_what_is_appended_where_reading_has_ended_is_no_overwriting(
    upload: Path, reads: list[int]
) -> None:
    digests = UploadDigests()
    digests.read_slice(upload)
    digests.overwrite(str(upload), SLICE)
    reads.clear()
    digests.read_slice(upload)

    assert sum(reads) == SLICE
    assert digests.read_slice(upload) == _sha256(upload)


def test_a_file_that_is_overwritten_while_it_is_read_has_no_digest(
    upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = UploadDigests()
    real = upload_digests._advance

    def advance(progress: object, descriptor: int) -> None:
        digests.overwrite(str(upload), 2499)
        real(progress, descriptor)  # type: ignore[arg-type]

    monkeypatch.setattr(upload_digests, "_advance", advance)

    assert digests.read_slice(upload) is None


def test_another_file_of_that_name_is_read_from_its_beginning(upload: Path, tmp_path: Path) -> None:
    digests = UploadDigests()
    digests.read_slice(upload)
    other = tmp_path / "other"
    other.write_bytes(b"b" * 3000)
    other.replace(upload)

    assert digests.read_slice(upload) == _sha256(upload)


def test_a_link_is_not_followed(upload: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(upload)

    with pytest.raises(OSError, match="symbolic"):
        UploadDigests().read_slice(tmp_path / "link")


def test_the_oldest_is_forgotten(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_digests, "MAX_REMEMBERED", 1)
    digests = UploadDigests()
    other = upload.with_name("other")
    other.write_bytes(b"")
    digests.read_slice(upload)
    digests.read_slice(other)

    assert [*digests._progress] == [str(other)]
