"""Manifests kept by their content's name."""

import hashlib
import os
from pathlib import Path

import pytest

from airgap.state import manifest_cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRGAP_HOME", str(tmp_path))
    return tmp_path / "cache/manifests"


def kept(data: bytes) -> str:
    bundle = hashlib.sha256(data).hexdigest()
    manifest_cache.save_manifest(bundle, data)
    return bundle


def test_what_was_kept_is_found_and_what_was_changed_is_not(home: Path) -> None:
    bundle = kept(b"one")
    assert manifest_cache.load(bundle) == b"one"

    (home / bundle).write_bytes(b"two")

    assert manifest_cache.load(bundle) is None
    assert manifest_cache.load("0" * 64) is None


def test_a_home_that_cannot_be_written_is_no_error(home: Path) -> None:
    home.parent.write_bytes(b"")

    assert manifest_cache.load(kept(b"one")) is None
    manifest_cache.trim()


def test_what_nobody_asked_for_longest_goes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_cache, "_MOST", 2)
    bundles = [kept(b"%d" % number) for number in range(3)]
    for number, bundle in enumerate(bundles):
        os.utime(home / bundle, ns=(number, number))
    manifest_cache.load(bundles[0])

    manifest_cache.trim()

    assert sorted(one.name for one in home.iterdir()) == sorted([bundles[0], bundles[2]])
