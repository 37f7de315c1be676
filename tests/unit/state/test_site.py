"""What this machine remembers."""

import os
from pathlib import Path

import pytest

from airgap.errors import StorageError
from airgap.state import pinned_root
from airgap.state.pinned_root import PinnedRoot
from airgap.state.state_folder import state_folder

PIN = "SHA256:" + "ab" * 32


def test_it_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_HOME", "/a")
    assert state_folder() == Path("/a")

    monkeypatch.setenv("AIRGAP_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_folder() == Path("/home/somebody/.airgap")


def test_a_pin_comes_back_as_it_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path / "state"))
    assert pinned_root.load_root() is None

    folder = pinned_root.save_root(b"root", {"1" * 64: b"one", "2" * 64: b"two"}, PIN, None)

    assert pinned_root.load_root() == PinnedRoot(b"root", (b"one", b"two"), PIN)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_pin_that_was_not_finished_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path))
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target.name == "fingerprint":
            raise OSError(28, os.strerror(28))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)

    with pytest.raises(StorageError, match="No space left on device"):
        pinned_root.save_root(b"root", {}, PIN, None)
    assert pinned_root.load_root() is None
