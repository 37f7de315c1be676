"""The folder for temporary files."""

import tempfile
from pathlib import Path

import pytest

from airgap.disk.temporary import find_temporary_folder
from airgap.errors import StorageError
from airgap.format.inventory import Item
from airgap.store import bentoml_process
from airgap.store.install_paths import InstallPath
from airgap.store.staging import StagedItem


@pytest.fixture
def _no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written to any folder for temporary files."""

    def fail() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", fail)


def test_it_is_the_chosen_one_or_the_system_s(tmp_path: Path) -> None:
    assert find_temporary_folder(tmp_path) == tmp_path
    assert find_temporary_folder() == Path(tempfile.gettempdir())


@pytest.mark.usefixtures("_no_folder")
def test_a_read_only_system_without_one_is_told_to_name_one() -> None:
    with pytest.raises(StorageError, match="no folder for temporary files") as refused:
        find_temporary_folder()
    assert "TMPDIR" in refused.value.hint


@pytest.mark.usefixtures("_no_folder")
def test_bentoml_is_asked_in_staging_where_there_is_no_other_folder(tmp_path: Path) -> None:
    item = Item("model", "ranker", "v1", (), bytes(32))
    target = InstallPath(tmp_path / "models/ranker/v1", tmp_path, None, may_hold_more=False)
    staged = StagedItem(item, target, "b" * 64)

    assert bentoml_process._find_scratch([staged]) == tmp_path / ".airgap/staging" / ("b" * 64)
