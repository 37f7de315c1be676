"""Free space counts where the file system tells it."""

import shutil
from pathlib import Path

import pytest

from airgap.disk.space import measure_free
from tests.support.sides import Side


def test_free_space_is_what_the_system_says(tmp_path: Path) -> None:
    free = measure_free(tmp_path)

    assert free is not None
    assert free > 0


def test_where_the_file_system_does_not_say_nothing_is_refused(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fusefat gives zeros for everything
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))

    assert measure_free(isolated.top) is None
    assert isolated.run("import", depot).code == 0
    assert "free space unknown" in isolated.run("doctor").out
