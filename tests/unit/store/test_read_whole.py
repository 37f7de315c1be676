"""A small file is read at once, and looked at once: afterwards."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.store import source_tree
from airgap.store.source_tree import SourceFile, read_whole


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    (tmp_path / "note.txt").write_bytes(b"0123456789")
    return source_tree.scan_file(tmp_path / "note.txt", "note.txt")


def test_it_is_returned(source: SourceFile) -> None:
    assert read_whole(source) == b"0123456789"


def test_a_part_of_a_file_is_returned(source: SourceFile) -> None:
    part = source._replace(size=3, within=(2, 10))

    assert read_whole(part) == b"234"


def grow(path: Path) -> None:
    path.write_bytes(b"0123456789 and more")


def shrink(path: Path) -> None:
    os.truncate(path, 4)


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [grow, shrink, become_fifo, become_folder])
def test_one_that_changed_is_refused(change: Callable[[Path], None], source: SourceFile) -> None:
    change(Path(source.location))

    with pytest.raises(StorageError, match="changed while it was being read"):
        read_whole(source)


def test_one_that_changes_while_it_is_read_is_refused(
    source: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.pread

    def read_and_change(descriptor: int, count: int, offset: int) -> bytes:
        data = read(descriptor, count, offset)
        Path(source.location).write_bytes(b"9876543210!")
        return data

    monkeypatch.setattr(os, "pread", read_and_change)

    with pytest.raises(StorageError, match="changed while it was being read"):
        read_whole(source)


def test_one_that_is_gone_cannot_be_read(source: SourceFile) -> None:
    Path(source.location).unlink()

    with pytest.raises(StorageError, match=r"note\.txt cannot be read: No such file"):
        read_whole(source)
