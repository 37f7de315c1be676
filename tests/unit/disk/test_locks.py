"""Locks keep other holders out, and are free when their holder ends."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from airgap.disk import locks


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lock").touch()
    return tmp_path / "lock"


def test_a_lock_has_one_holder_and_is_free_after_it(file: Path) -> None:
    with file.open("rb") as first, file.open("rb") as second:
        assert locks.try_lock(first.fileno())
        assert not locks.try_lock(second.fileno())
        assert locks.is_locked(file)

    assert not locks.is_locked(file)


def test_waiting_for_a_lock_is_announced(file: Path) -> None:
    with file.open("rb") as first, file.open("rb") as second:
        locks.lock(first.fileno())

        with pytest.raises(InterruptedError):
            locks.lock(second.fileno(), _interrupt)


def test_a_free_lock_is_not_announced(tmp_path: Path) -> None:
    with locks.lock_folder(tmp_path, _interrupt):
        pass


def test_a_lock_that_cannot_be_asked_for_is_not_held(tmp_path: Path) -> None:
    assert not locks.is_locked(tmp_path / "gone")


def test_a_lock_file_that_its_holder_removed_is_made_again(file: Path) -> None:
    descriptor = locks.lock_removable(file, _interrupt, _do_nothing)

    def release() -> None:
        file.unlink()
        os.close(descriptor)

    again = locks.lock_removable(file, release, _do_nothing)

    assert os.path.samestat(os.fstat(again), file.stat())
    os.close(again)


def _do_nothing() -> None:
    """The folder exists."""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(
    number: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(OSError, match="cannot be locked") as removable:
        locks.lock_removable(file, _interrupt, _do_nothing)
    with pytest.raises(OSError, match="cannot be locked") as folder, locks.lock_folder(file.parent):
        pass

    assert (removable.value.errno, removable.value.filename) == (errno.ENOLCK, str(file))
    assert (folder.value.errno, folder.value.filename) == (errno.ENOLCK, str(file.parent))


def test_a_file_system_with_unstable_inodes_is_not_tried_for_ever(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_LOCK_TRIES", 3)
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)

    with pytest.raises(OSError, match="inode number is not stable") as error:
        locks.lock_removable(file, _interrupt, _do_nothing)

    assert error.value.filename == str(file)


def _interrupt() -> None:
    raise InterruptedError
