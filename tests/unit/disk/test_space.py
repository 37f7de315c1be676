"""Free space counts where the file system tells it."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from airgap.disk import space
from airgap.disk.os_errors import storage_error
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


def test_a_file_system_that_cannot_enlarge_a_file_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fusefat: it also loses what is written out of order
    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(space, "_FALLOCATE", None)
    monkeypatch.setattr(os, "ftruncate", refuse)

    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError) as error:  # noqa: PT011
        space.reserve(file.fileno(), 1000)

    told = storage_error(error.value, tmp_path)
    assert told.message == (
        f"{tmp_path}: files cannot be enlarged there (Operation not permitted)."
    )
    assert "kernel's driver" in told.hint


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_disk_that_is_too_small_for_a_file_is_told_as_such(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(space, "_FALLOCATE", None)
    monkeypatch.setattr(os, "ftruncate", refuse)

    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError) as error:  # noqa: PT011
        space.reserve(file.fileno(), 1000)

    assert error.value.errno == number
