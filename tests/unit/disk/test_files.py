"""Files of a medium are opened without being fooled, and written without being half there."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from airgap.disk.digests import has_digest
from airgap.disk.durable import sync_file
from airgap.disk.os_errors import storage_error
from airgap.disk.part_file import remove_abandoned, write_atomically
from airgap.disk.reading import list_names, read_bounded, read_exactly
from airgap.errors import CorruptError, MissingError, StorageError

HASH = bytes.fromhex("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")  # of "x"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A medium with ``sub/file`` of five bytes."""
    (tmp_path / "top" / "sub").mkdir(parents=True)
    (tmp_path / "top" / "sub" / "file").write_bytes(b"12345")
    return tmp_path / "top"


def put_in_place(top: Path, kind: str) -> None:
    """Put something that is no regular file where ``sub/file`` was."""
    place = top / "sub" / "file"
    place.rename(top.parent / "elsewhere")
    if kind == "link":
        place.symlink_to(top.parent / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        (top / "sub").rename(top.parent / "sub")
        (top / "sub").symlink_to(top.parent / "sub")
        (top.parent / "sub" / "file").write_bytes(b"12345")


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "device", "linked folder"])
def test_only_regular_files_are_read(kind: str, top: Path) -> None:
    put_in_place(top, kind)

    with pytest.raises(CorruptError, match="is not a regular file"):
        read_exactly(top, "sub/file", 5)


@pytest.mark.parametrize("name", ["sub/gone", "gone/file"])
def test_what_is_not_there_is_missing(name: str, top: Path) -> None:
    with pytest.raises(MissingError, match="is not there"):
        read_bounded(top, name, 10)


def test_a_file_as_a_folder_is_corrupt(top: Path) -> None:
    with pytest.raises(CorruptError):
        read_bounded(top, "sub/file/below", 10)


def test_a_file_that_may_not_be_read_is_told(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refused)

    with pytest.raises(StorageError, match="Permission denied") as told:
        read_bounded(top, "sub/file", 10)
    assert "who owns it" in told.value.hint


@pytest.mark.parametrize("limit", [5, 6, 10**9])
def test_a_file_within_its_bound_is_read_whole(limit: int, top: Path) -> None:
    assert read_bounded(top, "sub/file", limit) == b"12345"


def test_a_file_beyond_its_bound_is_corrupt(top: Path) -> None:
    with pytest.raises(CorruptError, match="longer than the 4 bytes"):
        read_bounded(top, "sub/file", 4)


@pytest.mark.parametrize(("size", "told"), [(4, "has more than 4 bytes"), (6, "has 5 bytes")])
def test_a_file_of_another_size_is_corrupt(size: int, told: str, top: Path) -> None:
    with pytest.raises(CorruptError, match=told):
        read_exactly(top, "sub/file", size)


def test_a_file_that_grows_while_it_is_read_is_read_no_further(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "read", lambda _descriptor, size: b"x" * min(size, 3))

    with pytest.raises(CorruptError, match="more than"):
        read_exactly(top, "sub/file", 5)


@pytest.mark.parametrize(
    ("content", "size", "digest", "same"),
    [(b"x", 1, HASH, True), (b"y", 1, HASH, False), (b"xx", 1, HASH, False), (b"", 0, HASH, False)],
)
def test_a_file_is_known_by_size_and_digest(
    *, content: bytes, size: int, digest: bytes, same: bool, top: Path
) -> None:
    (top / "x").write_bytes(content)

    assert has_digest(top, "x", size, digest) is same


def test_names_are_listed_sorted(top: Path) -> None:
    (top / "sub" / "a").touch()

    assert list_names(top, "sub", 2) == ["a", "file"]


def test_a_folder_with_too_many_names_is_corrupt(top: Path) -> None:
    (top / "sub" / "a").touch()

    with pytest.raises(CorruptError, match="holds more than 1 names"):
        list_names(top, "sub", 1)


@pytest.mark.parametrize(("name", "error"), [("gone", MissingError), ("sub/file", CorruptError)])
def test_only_folders_are_listed(
    name: str, error: type[MissingError | CorruptError], top: Path
) -> None:
    with pytest.raises(error):
        list_names(top, name, 9)


def test_writing_makes_folders_and_leaves_nothing_else(top: Path) -> None:
    write_atomically(top, "new/deep/file", [b"1", b"23"])

    assert (top / "new/deep/file").read_bytes() == b"123"
    assert [path.name for path in (top / "new/deep").iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StorageError, match="No space left") as told:
        write_atomically(top, "sub/file", [b"new"])

    assert told.value.hint.startswith("Free some space")
    assert (top / "sub/file").read_bytes() == b"12345"
    assert [path.name for path in (top / "sub").iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_removed(top: Path) -> None:
    left = top / "sub" / f"file.{'0' * 16}.part"
    left.touch()

    write_atomically(top, "sub/file", [b"new"])

    assert not left.exists()


@pytest.mark.parametrize("name", ["file.part", f"file.{'g' * 16}.part", "mine.part"])
def test_what_only_looks_like_a_part_stays(name: str, top: Path) -> None:
    (top / "sub" / name).touch()

    remove_abandoned((top / "sub").iterdir())

    assert (top / "sub" / name).exists()


def test_what_another_writer_is_writing_stays(top: Path) -> None:
    part = top / "sub" / f"file.{'0' * 16}.part"
    with part.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        remove_abandoned([part])

        assert part.exists()


def test_syncing_what_is_not_there_is_told(top: Path) -> None:
    with pytest.raises(StorageError, match="gone"):
        sync_file(top, "sub/gone")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some of your quota"),
        (errno.EROFS, "Choose a location that can be written"),
        (errno.EIO, "The medium may be damaged"),
        (errno.EFBIG, "Raise the limit"),
        (errno.EXDEV, "Check the path and the disk"),
    ],
)
def test_what_the_disk_refused_is_told_with_what_to_do(number: int, hint: str) -> None:
    told = storage_error(OSError(number, os.strerror(number)), "/disk/file")

    assert told.message == f"/disk/file: {os.strerror(number)}."
    assert told.hint.startswith(hint)


def test_an_error_without_a_number_is_told_by_its_name() -> None:
    assert storage_error(OSError("odd"), "/x").message == "/x: OSError."
