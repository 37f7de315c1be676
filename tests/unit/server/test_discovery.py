"""Bundles are found by their names, within limits."""

from pathlib import Path

import pytest

from airgap.format import limits
from airgap.server.intake.discovery import find_bundles


def test_a_folder_with_too_many_names_hides_no_bundle_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLDER_NAMES", 10)
    for name in [*(f"full/{number}" for number in range(11)), "full/x.airgap", "other/y.airgap"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    assert [bundle.path.name for bundle in find_bundles(tmp_path)] == ["y.airgap"]
