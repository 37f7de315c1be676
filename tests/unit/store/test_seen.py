"""Manifests kept by their content's name."""

import hashlib
import os
from pathlib import Path

import pytest

from airgap.state import manifest_cache as seen


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path))
    return tmp_path / "cache/manifests"


def kept(data: bytes) -> str:
    bundle = hashlib.sha256(data).hexdigest()
    seen.keep(bundle, data)
    return bundle


def test_what_was_kept_is_found_and_what_was_changed_is_not(home: Path) -> None:
    bundle = kept(b"one")
    assert seen.load(bundle) == b"one"

    (home / bundle).write_bytes(b"two")

    assert seen.load(bundle) is None
    assert seen.load("0" * 64) is None


def test_a_home_that_cannot_be_written_is_no_error(home: Path) -> None:
    home.parent.write_bytes(b"")

    assert seen.load(kept(b"one")) is None
    seen.trim()


def test_what_nobody_asked_for_longest_goes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_MOST", 2)
    bundles = [kept(b"%d" % number) for number in range(3)]
    for number, bundle in enumerate(bundles):
        os.utime(home / bundle, ns=(number, number))
    seen.load(bundles[0])

    seen.trim()

    assert sorted(one.name for one in home.iterdir()) == sorted([bundles[0], bundles[2]])
