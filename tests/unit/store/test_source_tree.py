"""A folder is listed as it lies, and a file that changes while it is read is no file to send."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.store import source_tree
from airgap.store.source_tree import SourceFile


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder with a little of everything."""
    folder = tmp_path / "top"
    (folder / "a" / "empty").mkdir(parents=True)
    (folder / "a" / "run").write_bytes(b"#!")
    (folder / "a" / "run").chmod(0o755)
    (folder / "b").write_bytes(b"12345")
    (folder / "link").symlink_to("a/run")
    (folder / "to-folder").symlink_to("a")
    return folder


def only_file(folder: Path, content: bytes) -> SourceFile:
    (folder / "file").write_bytes(content)
    (found,) = (file for file in source_tree.scan(folder).files if file.path == "file")
    return found


def test_files_links_and_empty_folders_are_listed(top: Path) -> None:
    found = source_tree.scan(top)

    assert [(file.path, file.size, file.executable) for file in found.files] == [
        ("a/run", 2, True),
        ("b", 5, False),
    ]
    assert found.links == {"link": "a/run", "to-folder": "a"}
    assert found.empty_folders == ("a/empty",)
    assert found.size == 7


def test_files_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    for name in ("b", "B", "a-", "a", "é", "a.b"):
        (tmp_path / name).touch()

    names = [file.path for file in source_tree.scan(tmp_path).files]

    assert names == sorted(names, key=os.fsencode)


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert source_tree.scan(tmp_path) == source_tree.Tree((), {}, ())


def test_a_folder_that_nobody_touched_is_still_what_it_was(top: Path) -> None:
    assert source_tree.is_tree_unchanged(source_tree.scan(top), top)


def _add_a_file(top: Path) -> None:
    (top / "c").touch()


def _remove_a_file(top: Path) -> None:
    (top / "b").unlink()


def _write_a_file(top: Path) -> None:
    (top / "b").write_bytes(b"54321")
    os.utime(top / "b", ns=(1, 1))


def _move_a_link(top: Path) -> None:
    (top / "link").unlink()
    (top / "link").symlink_to("b")


def _fill_a_folder(top: Path) -> None:
    (top / "a" / "empty" / "not-any-more").touch()


def _empty_a_folder(top: Path) -> None:
    (top / "new").mkdir()


@pytest.mark.parametrize(
    "change",
    [_add_a_file, _remove_a_file, _write_a_file, _move_a_link, _fill_a_folder, _empty_a_folder],
)
def test_a_folder_that_changed_is_not_what_it_was(
    change: Callable[[Path], None], top: Path
) -> None:
    before = source_tree.scan(top)

    change(top)

    assert not source_tree.is_tree_unchanged(before, top)


def test_folders_are_passed_over_by_name(top: Path) -> None:
    (top / "c" / "cache").mkdir(parents=True)
    (top / "c" / "cache" / "x").touch()

    found = source_tree.scan(top, ignored_folders=frozenset({"cache", "a"}))

    assert [file.path for file in found.files] == ["b"]
    assert found.empty_folders == ("c",)


def test_a_fifo_is_refused(top: Path) -> None:
    os.mkfifo(top / "pipe")

    with pytest.raises(StorageError, match="neither a file nor a folder nor a link"):
        source_tree.scan(top)


def test_a_socket_is_refused(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(top)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s")
        with pytest.raises(StorageError, match="neither a file"):
            source_tree.scan(top)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone cannot be read: No such file"):
        source_tree.scan(tmp_path / "gone")


def test_a_folder_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "/".join(["d"] * 400)).mkdir(parents=True)

    with pytest.raises(StorageError, match="folders deep"):
        source_tree.scan(tmp_path)


def test_links_are_followed_where_they_may_lead(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "1").write_bytes(b"blob")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "a").symlink_to("../blobs/1")

    (found,) = source_tree.scan(tmp_path / "snapshot", links_into=[tmp_path]).files

    assert (found.path, found.size, b"".join(source_tree.read_stable(found))) == ("a", 4, b"blob")


@pytest.mark.parametrize("target", ["../../secret", "nowhere", "../blobs", "/etc/hostname", "a"])
def test_links_are_followed_nowhere_else(target: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "cache" / "blobs").mkdir(parents=True)
    (tmp_path / "cache" / "snapshot").mkdir()
    (tmp_path / "cache" / "snapshot" / "a").symlink_to(target)

    with pytest.raises(StorageError):
        source_tree.scan(tmp_path / "cache" / "snapshot", links_into=[tmp_path / "cache"])


def test_files_are_found_beside_what_cannot_be_read(top: Path) -> None:
    (top / "a" / "nowhere").symlink_to("gone")
    (top / "a" / "out").symlink_to("/etc/hostname")
    os.mkfifo(top / "a" / "fifo")

    found = source_tree.find_files(top, top)

    assert {file.path for file in found} == {"a/run", "b", "link"}


def test_what_is_left_out_at_the_top_is_there_below(top: Path) -> None:
    (top / "c" / "a").mkdir(parents=True)
    (top / "c" / "a" / "x").touch()

    found = source_tree.scan(top, ignored_top=frozenset({"a", "b"}))

    assert [file.path for file in found.files] == ["c/a/x"]
    assert source_tree.is_tree_unchanged(found, top, ignored_top=frozenset({"a", "b"}))
    assert not source_tree.is_tree_unchanged(found, top)


def test_a_file_may_have_another_inode_at_each_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    class OtherInode:
        st_ino = 4711

        def __init__(self, descriptor: int) -> None:
            self._status = real(descriptor)

        def __getattr__(self, name: str) -> object:
            return getattr(self._status, name)

    source = only_file(tmp_path, b"abc")
    monkeypatch.setattr(os, "fstat", OtherInode)

    assert b"".join(source_tree.read_stable(source)) == b"abc"


@pytest.mark.parametrize("offset", [3, 2**63 - 1, 2**63, 2**64])
def test_past_its_end_a_file_has_nothing(offset: int, tmp_path: Path) -> None:
    with source_tree.StableFile(only_file(tmp_path, b"abc")) as file:
        assert file.peek(offset, 10) == b""
        assert file.peek(2, 2**64) == b"c"


@pytest.mark.parametrize("size", [0, 1, source_tree.READ_BYTES, 2 * source_tree.READ_BYTES + 1])
def test_a_file_is_read_in_pieces(size: int, tmp_path: Path) -> None:
    pieces = list(source_tree.read_stable(only_file(tmp_path, b"x" * size)))

    assert sum(map(len, pieces)) == size
    assert all(0 < len(piece) <= source_tree.READ_BYTES for piece in pieces)


def test_a_file_that_was_replaced_is_told(tmp_path: Path) -> None:
    source = only_file(tmp_path, b"12345")
    (tmp_path / "other").write_bytes(b"54321")
    (tmp_path / "other").rename(tmp_path / "file")

    with pytest.raises(StorageError, match="changed while it was being read"):
        list(source_tree.read_stable(source))


@pytest.mark.parametrize("content", [b"1", b"54321", b"123456789"])
def test_a_file_that_changes_under_the_reader_is_told(content: bytes, tmp_path: Path) -> None:
    source = only_file(tmp_path, b"12345")
    reading = source_tree.read_stable(source)
    next(reading)
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(StorageError, match="changed while it was being read"):
        list(reading)


@pytest.mark.parametrize("length", [2 * source_tree.READ_BYTES, 4 * source_tree.READ_BYTES])
def test_a_file_that_shrinks_or_grows_under_the_reader_is_told(length: int, tmp_path: Path) -> None:
    source = only_file(tmp_path, b"x" * 3 * source_tree.READ_BYTES)
    reading = source_tree.read_stable(source)
    next(reading)
    os.truncate(tmp_path / "file", length)

    with pytest.raises(StorageError, match="changed while it was being read"):
        list(reading)


def test_a_file_that_vanished_is_told(tmp_path: Path) -> None:
    source = only_file(tmp_path, b"12345")
    (tmp_path / "file").unlink()

    with pytest.raises(StorageError, match="file cannot be read: No such file"):
        list(source_tree.read_stable(source))


def test_a_file_is_unchanged_until_something_touches_it(tmp_path: Path) -> None:
    source = only_file(tmp_path, b"12345")
    assert source_tree.is_unchanged(source)

    (tmp_path / "file").write_bytes(b"54321")
    assert not source_tree.is_unchanged(source)

    (tmp_path / "file").unlink()
    assert not source_tree.is_unchanged(source)


MIB = 1024 * 1024
LAYOUTS = {
    "one hole": [(0, b"begin"), (9 * MIB, b"end")],
    "a hole at the end": [(0, b"begin"), (6 * MIB, b"")],
    "nothing but a hole": [(7 * MIB + 5, b"")],
    "holes and data": [(at * 3 * MIB + 4096, b"x" * 9000) for at in range(4)],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_holes_are_zeros_and_are_not_read(
    layout: list[tuple[int, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("wb") as file:
        for at, data in layout:
            file.seek(at)
            file.write(data)
        file.truncate(layout[-1][0] + len(layout[-1][1]))
    expected = (tmp_path / "file").read_bytes()
    (source,) = source_tree.scan(tmp_path).files
    if (tmp_path / "file").stat().st_blocks * 512 > MIB:
        pytest.skip("this file system has no holes")
    count = 0
    pread = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal count
        data = pread(descriptor, size, offset)
        count += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    content = b"".join(source_tree.read_stable(source))

    assert content == expected
    assert count <= len(expected) - 2 * MIB


@pytest.mark.parametrize("broken", ["lseek", "fsync"])
def test_where_holes_are_not_told_everything_is_read(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(3 * MIB)
    (source,) = source_tree.scan(tmp_path).files

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, broken, refuse)

    assert b"".join(source_tree.read_stable(source)) == bytes(3 * MIB)
