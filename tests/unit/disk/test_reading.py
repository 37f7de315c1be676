"""Files of a medium are read without following links, waiting for FIFOs, or beyond their bound."""

import errno
import os
from pathlib import Path

import pytest

from airgap.disk.reading import (
    list_names,
    read_bounded,
    read_exactly,
    read_if_exists,
    read_open,
)
from airgap.errors import CorruptError, MissingError, StorageError


def put_in_place(top: Path, kind: str) -> None:
    """Put something that is no regular file where ``sub/file`` was."""
    location = top / "sub" / "file"
    location.rename(top.parent / "elsewhere")
    if kind == "link":
        location.symlink_to(top.parent / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(location)
    elif kind == "folder":
        location.mkdir()
    elif kind == "device":
        location.symlink_to("/dev/zero")
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


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_small_state_is_a_regular_file(kind: str, top: Path) -> None:
    put_in_place(top, kind)

    with pytest.raises(OSError, match=r"regular file|symbolic links|Is a directory"):
        read_if_exists(top / "sub" / "file", 10)


def test_small_state_shows_that_it_is_too_long(top: Path) -> None:
    assert read_if_exists(top / "sub" / "file", 3) == b"1234"


def test_small_state_that_does_not_exist_is_none(top: Path) -> None:
    assert read_if_exists(top / "sub" / "gone", 3) is None


def test_memory_is_taken_by_the_size_of_a_file_and_not_by_its_bound(top: Path) -> None:
    with (top / "sub" / "file").open("rb") as file:
        assert read_open(file, 2**62) == b"12345"
    assert read_if_exists(top / "sub" / "file", 2**62) == b"12345"


def test_a_pipe_is_read_to_its_end() -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"x" * 5000)
    os.close(theirs)

    with os.fdopen(ours, "rb") as pipe:
        assert read_open(pipe, 10_000) == b"x" * 5000
