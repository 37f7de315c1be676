"""The doctor on hardened hosts: what the tests with real labels and mounts do not reach."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from airgap.errors import CorruptError
from airgap.flow.doctor import execution, fips, selinux
from airgap.signing import openssl_mode
from airgap.state import pinned_root
from airgap.store import environments, kinds, python_builds
from airgap.store.python_builds import PythonBuild
from tests.support.sides import Side


def fail(*_: object, **__: object) -> NoReturn:
    raise CorruptError("It is damaged.", "Repair it.")


@pytest.fixture(autouse=True)
def _here(isolated: Side, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(isolated.top)
    with isolated.here():
        yield


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """SELinux is in use, and the type of a folder is its name."""
    monkeypatch.setattr(selinux, "read_selinux", lambda: "permissive")
    monkeypatch.setattr(selinux, "read_type", lambda path: path.name)


@pytest.mark.usefixtures("labelled")
def test_of_many_items_with_another_type_a_few_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"item {number}" for number in range(7)]
    monkeypatch.setattr(selinux, "_list_folders", lambda: iter(paths))

    notes = [one for one in selinux.check_labels() if one.level == "note"]

    assert len(notes) == 6
    assert f"chcon -R --reference={tmp_path} '{paths[0]}'" in notes[0].hint
    assert notes[-1].message == "2 more items have another type than their folder."


@pytest.mark.usefixtures("labelled")
def test_what_cannot_be_listed_is_left_to_other_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in kinds.list_kinds():
        monkeypatch.setattr(type(kind), "list_tags", fail)
    monkeypatch.setattr(environments, "list_environments", fail)

    assert {one.level for one in selinux.check_labels()} == {"ok"}
    assert {one.level for one in execution.check_execution()} == {"ok"}


def test_a_python_that_a_bundle_has_brought_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = PythonBuild("python-3.12-x86_64:1", "3.12", "x86_64", tmp_path / "bin/python3.12")
    monkeypatch.setattr(python_builds, "list_builds", lambda: [build])
    monkeypatch.setattr(execution, "is_noexec", lambda path: path == build.path)

    (note, _) = execution.check_execution()

    assert note.level == "note"
    assert "python-3.12-x86_64:1" in note.message


def test_a_root_that_cannot_be_read_is_left_to_other_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openssl_mode, "is_fips_machine", lambda: True)
    monkeypatch.setattr(pinned_root, "load_root", fail)

    (mode,) = fips.check_fips(Path.cwd())

    assert "is in FIPS mode" in mode.message
