"""Small files are replaced and extended completely or not at all."""

import errno
import os
from pathlib import Path

import pytest

from airgap.disk import durable
from airgap.disk.durable import sync_file
from airgap.errors import StorageError


def test_syncing_what_is_not_there_is_told(top: Path) -> None:
    with pytest.raises(StorageError, match="gone"):
        sync_file(top, "sub/gone")


def test_a_replaced_file_has_the_new_content_and_no_part_is_left(top: Path) -> None:
    durable.replace_file(top / "sub" / "file", b"new")

    assert (top / "sub" / "file").read_bytes() == b"new"
    assert [path.name for path in (top / "sub").iterdir()] == ["file"]


def refuse(_descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_file_that_cannot_be_replaced_is_unchanged_and_no_part_is_left(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(OSError, match="Input/output error"):
        durable.replace_file(top / "sub" / "file", b"new")

    assert (top / "sub" / "file").read_bytes() == b"12345"
    assert [path.name for path in (top / "sub").iterdir()] == ["file"]


@pytest.mark.parametrize(("size", "after"), [(5, b"12345ab"), (3, b"123ab"), (1, b"1ab")])
def test_what_is_appended_follows_the_given_size(size: int, after: bytes, top: Path) -> None:
    durable.append(top / "sub" / "file", size, b"ab")

    assert (top / "sub" / "file").read_bytes() == after


def test_what_cannot_be_appended_is_cut_off(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(OSError, match="Input/output error"):
        durable.append(top / "sub" / "file", 3, b"ab")

    assert (top / "sub" / "file").read_bytes() == b"123"


def test_each_new_folder_has_the_mode(top: Path) -> None:
    durable.make_folder(top / "a" / "b", 0o700)

    assert [(top / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700] * 2
