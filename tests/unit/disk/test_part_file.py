"""Files appear complete or not at all, and abandoned parts are removed."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from airgap.disk.part_file import remove_abandoned, write_atomically
from airgap.errors import StorageError


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


def test_on_nfs_4_too_what_a_killed_writer_left_is_removed(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = top / "sub" / f"file.{'0' * 16}.part"
    left.touch()
    flock = fcntl.flock

    def lock_as_nfs_4(descriptor: int, kind: int) -> None:
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if kind & fcntl.LOCK_EX and access == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", lock_as_nfs_4)

    remove_abandoned([left])

    assert not left.exists()


def test_what_another_writer_is_writing_stays(top: Path) -> None:
    part = top / "sub" / f"file.{'0' * 16}.part"
    with part.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        remove_abandoned([part])

        assert part.exists()
