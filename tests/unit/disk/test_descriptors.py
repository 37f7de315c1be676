"""Parts get their final name in an open folder, complete and synced; descriptors are waited for."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from airgap.disk import descriptors


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize(
    ("replace", "is_published", "content"), [(True, True, b"new"), (False, False, b"12345")]
)
def test_a_taken_name_is_replaced_only_if_it_may_be(
    *,
    replace: bool,
    is_published: bool,
    content: bytes,
    has_links: bool,
    top: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", _refuse)

    assert publish(top, "file", replace=replace) is is_published
    assert (top / "sub" / "file").read_bytes() == content


@pytest.mark.parametrize("has_links", [True, False])
def test_a_free_name_is_taken(
    *, has_links: bool, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", _refuse)

    assert publish(top, "other", replace=False)
    assert (top / "sub" / "other").read_bytes() == b"new"


def test_folders_on_the_way_are_made_and_links_refused(top: Path) -> None:
    (top / "link").symlink_to(top / "sub")

    with descriptors.open_folder(top, ("a", "b"), make=True) as folder:
        assert os.path.samestat(os.fstat(folder), (top / "a" / "b").stat())
    with pytest.raises(NotADirectoryError), descriptors.open_folder(top, ("link",)):
        pass


def publish(top: Path, name: str, *, replace: bool) -> bool:
    with descriptors.open_folder(top, ("sub",)) as folder:
        descriptor = descriptors.open_part(folder, "part", new=True)
        try:
            os.write(descriptor, b"new")
            return descriptors.publish_part(folder, descriptor, "part", name, replace=replace)
        finally:
            os.close(descriptor)
            descriptors.remove_file(folder, "part")


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_a_descriptor_of_any_number_is_waited_for() -> None:
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, 1024)  # the first that select cannot take
    try:
        assert high >= 1024
        assert not descriptors.wait_readable(high, 0)
        os.write(writer, b"x")
        assert descriptors.wait_readable(high, 60)
    finally:
        for descriptor in (reader, writer, high):
            os.close(descriptor)


def test_the_system_passes_a_file_on_into_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    reader, writer = os.pipe()
    with (tmp_path / "file").open("rb") as file:
        assert descriptors.pass_on(file.fileno(), writer) == len(b"content")

    assert os.read(reader, 100) == b"content"
    os.close(writer)
    os.close(reader)


def test_the_system_passes_nothing_on_into_what_is_appended_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file, (tmp_path / "log").open("ab") as log:
        assert descriptors.pass_on(file.fileno(), log.fileno()) == 0


def test_a_pipe_that_nobody_reads_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    reader, writer = os.pipe()
    os.close(reader)
    with (tmp_path / "file").open("rb") as file, pytest.raises(BrokenPipeError):
        descriptors.pass_on(file.fileno(), writer)
    os.close(writer)
