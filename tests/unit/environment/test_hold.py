"""A folder is held while its environment is made or removed."""

import os
from pathlib import Path

import pytest

from airgap.flow.environment.create import hold
from airgap.store.environments import MARKER, is_being_changed


def test_it_is_marked_and_locked_until_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "environment"

    with hold(folder, pytest.fail) as descriptor:
        assert is_being_changed(folder)
        assert os.path.samestat(os.fstat(descriptor), (folder / MARKER).stat())

    assert not is_being_changed(folder)
    assert list(folder.iterdir()) == []


def test_the_mark_of_the_next_one_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "environment"

    with hold(folder, pytest.fail):
        (folder / MARKER).unlink()
        (folder / MARKER).write_bytes(b"another's")

    assert (folder / MARKER).read_bytes() == b"another's"
