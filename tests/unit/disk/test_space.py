"""Free space counts where the file system tells it."""

import errno
import os
import re
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


@pytest.mark.parametrize(
    ("needed", "free"), [(1_550_000, 1_549_999), (2_000_000, 999), (10**12 + 1, 10**12)]
)
def test_a_shortage_never_says_that_as_much_is_free_as_is_needed(needed: int, free: int) -> None:
    error = space.make_shortage(Path("/srv"), needed, free, " more")

    match = re.fullmatch(r"/srv needs (\S+ \S+) more and has (\S+ \S+) free\.", error.message)
    assert match
    assert match[1] != match[2]


def test_what_is_to_be_freed_is_enough() -> None:
    error = space.make_shortage(Path("/srv"), 7_540_001, 2_000_000, hint=", or give -o")

    assert error.message == "/srv needs 7.6 MB and has 2.0 MB free."
    assert error.hint == "Free 5.6 MB and run the same command again, or give -o."
