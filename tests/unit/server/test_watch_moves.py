"""Finished bundles are moved to another disk: only what is part of them is copied."""

import errno
import os
from pathlib import Path

import pytest

from airgap.errors import CorruptError
from airgap.server import watch
from tests.support import stores


@pytest.fixture(autouse=True)
def _other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "rename", refuse)


def test_a_folder_is_copied_without_what_its_links_lead_to(tmp_path: Path) -> None:
    source, target = tmp_path / "bundle", tmp_path / "done" / "bundle"
    stores.write_files(tmp_path / "private", {"secret": b"secret"})
    stores.write_files(source, {"manifest.msgpack": b"manifest"})
    (source / "file").symlink_to(tmp_path / "private" / "secret")
    (source / "folder").symlink_to(tmp_path / "private")
    os.mkfifo(source / "fifo")

    watch._move(source, target)

    assert not source.exists()
    assert (target / "manifest.msgpack").read_bytes() == b"manifest"
    assert (target / "file").is_symlink()
    assert (target / "folder").is_symlink()
    assert not (target / "fifo").exists()
    assert (tmp_path / "private" / "secret").read_bytes() == b"secret"


def test_a_file_is_copied(tmp_path: Path) -> None:
    stores.write_files(tmp_path, {"x.airgap": b"bundle"})

    watch._move(tmp_path / "x.airgap", tmp_path / "done" / "x.airgap")

    assert not (tmp_path / "x.airgap").exists()
    assert (tmp_path / "done" / "x.airgap").read_bytes() == b"bundle"


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    stores.write_files(tmp_path, {"secret": b"secret"})
    (tmp_path / "x.airgap").symlink_to(tmp_path / "secret")

    with pytest.raises(CorruptError):
        watch._move(tmp_path / "x.airgap", tmp_path / "done" / "x.airgap")

    assert not (tmp_path / "done" / "x.airgap").exists()


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    stores.write_files(tmp_path / "private", {"secret": b"secret"})
    (tmp_path / "bundle").symlink_to(tmp_path / "private")

    with pytest.raises(CorruptError):
        watch._move(tmp_path / "bundle", tmp_path / "done" / "bundle")

    assert not (tmp_path / "done" / "bundle").exists()
    assert (tmp_path / "private" / "secret").read_bytes() == b"secret"
