"""Permissions, where a file system keeps them, refuses them, or loses them without a word."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.disk import permissions
from airgap.disk.permissions import are_kept, set_mode


def refuse(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def ignore(*_: object) -> None:
    """Do nothing, as some file systems do."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_path_or_an_open_file_gets_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        assert set_mode(file.fileno(), 0o640)
        assert mode(path) == 0o640
    assert set_mode(path, 0o755)
    assert mode(path) == 0o755


def test_what_its_owner_may_not_read_gets_the_mode_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "open_without_waiting", refuse)  # root reads everything

    assert set_mode(tmp_path, 0o711)
    assert mode(tmp_path) == 0o711


def test_a_folder_keeps_its_setgid_bit(tmp_path: Path) -> None:
    tmp_path.chmod(0o2700)

    assert set_mode(tmp_path, 0o775)

    assert mode(tmp_path) == 0o2775


def test_a_mode_that_is_right_is_not_set_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chmod", refuse)

    assert set_mode(tmp_path, mode(tmp_path))


@pytest.mark.parametrize("chmod", [refuse, ignore])
def test_a_mode_that_is_not_kept_is_no_error(
    chmod: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chmod", chmod)

    assert not set_mode(tmp_path, 0o711)
    assert not are_kept(tmp_path)


def test_another_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "chmod", fail)

    with pytest.raises(OSError, match="Input/output"):
        set_mode(tmp_path, 0o711)


def test_this_file_system_keeps_permissions_and_the_trial_leaves_nothing(tmp_path: Path) -> None:
    assert are_kept(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_system_whose_files_are_all_alike_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "_PRIVATE", 0o777)

    assert not are_kept(tmp_path)


def test_where_nothing_can_be_tried_permissions_count(tmp_path: Path) -> None:
    assert are_kept(tmp_path / "not there")
