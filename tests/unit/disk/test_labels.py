"""Labels of SELinux: what is renamed gets the type of where it goes, and nothing else changes."""

import errno
import os
from pathlib import Path

import pytest

from airgap.disk import durable, labels
from airgap.errors import StorageError
from tests.support import selinux

LABELS: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _attributes_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Labels as an ordinary user has them, too: in a dictionary."""
    LABELS.clear()

    def read(path: Path, name: str, *, follow_symlinks: bool) -> bytes:
        assert (name, follow_symlinks) == ("security.selinux", False)
        if str(path) not in LABELS:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return f"{LABELS[str(path)]}\0".encode()

    def write(path: Path, name: str, value: bytes, *, follow_symlinks: bool) -> None:
        assert (name, follow_symlinks) == ("security.selinux", False)
        LABELS[str(path)] = value.decode().rstrip("\0")

    monkeypatch.setattr(os, "getxattr", read)
    monkeypatch.setattr(os, "setxattr", write)
    selinux.switch_on(monkeypatch, tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A staged tree, and a destination beside it with another type."""
    top = tmp_path / "staged"
    (top / "src").mkdir(parents=True)
    (top / "src" / "file").write_text("text")
    (top / "link").symlink_to("src/file")
    (tmp_path / "models").mkdir()
    for path in selinux.walk(top):
        LABELS[str(path)] = "unconfined_u:object_r:user_home_t:s0"
    LABELS[str(tmp_path / "models")] = "system_u:object_r:container_file_t:s0:c1,c2"
    return top


def test_the_type_is_adopted_and_user_and_level_stay(tree: Path, tmp_path: Path) -> None:
    labels.adopt_types(tree, tmp_path / "models")

    adopted = {LABELS[str(path)] for path in selinux.walk(tree)}
    assert adopted == {"unconfined_u:object_r:container_file_t:s0"}


def test_a_folder_that_is_still_to_be_made_inherits_from_above(tree: Path, tmp_path: Path) -> None:
    labels.adopt_types(tree, tmp_path / "models" / "ranker" / "v1")

    assert labels.read_type(tree / "src" / "file") == "container_file_t"


def test_what_has_no_label_takes_all_of_it(tree: Path, tmp_path: Path) -> None:
    del LABELS[str(tree / "link")]

    labels.adopt_types(tree, tmp_path / "models")

    assert LABELS[str(tree / "link")] == LABELS[str(tmp_path / "models")]


def test_without_a_label_to_adopt_or_without_selinux_nothing_changes(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(LABELS)
    (tmp_path / "bare").mkdir()

    labels.adopt_types(tree, tmp_path / "bare")
    monkeypatch.setattr(labels, "_SELINUX", tmp_path / "absent")
    labels.adopt_types(tree, tmp_path / "models")

    assert before == LABELS


def test_a_label_that_selinux_does_not_permit_is_refused_by_name(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "setxattr", refuse)

    with pytest.raises(StorageError, match=f"does not permit to label {tree} as .*container_file"):
        labels.adopt_types(tree, tmp_path / "models")
    LABELS[str(tree / "part")] = "a:b:c:s0"
    with pytest.raises(StorageError, match="does not permit"):
        durable.replace_file(tmp_path / "models" / "latest", b"v1", tree / "part")
    assert not (tree / "part").exists()


def test_another_error_is_not_taken_for_a_missing_label(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "getxattr", fail)

    with pytest.raises(OSError, match="Input/output"):
        labels.adopt_types(tree, tmp_path / "models")
    assert labels.read_type(tree) == ""


def test_a_small_file_from_another_folder_adopts_the_type_of_its_own(
    tree: Path, tmp_path: Path
) -> None:
    part = tree / "part"
    LABELS[str(part)] = "unconfined_u:object_r:user_home_t:s0"

    durable.replace_file(tmp_path / "models" / "latest", b"v1", part)

    assert LABELS[str(part)] == "unconfined_u:object_r:container_file_t:s0"


@pytest.mark.parametrize(("switch", "mode"), [("1", "enforcing"), ("0\n", "permissive")])
def test_the_mode_is_read(
    switch: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selinux.switch_on(monkeypatch, tmp_path, switch)

    assert labels.read_selinux() == mode
