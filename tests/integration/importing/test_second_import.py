"""What is installed is not read again to say that it is there; `airgap check` reads all of it."""

import os
from pathlib import Path

import pytest

from airgap.disk.digests import digest_file
from airgap.disk.file_state import FileState
from tests.support import stores
from tests.support.sides import Side, Site, trust
from tests.support.steady_files import make_steady


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of installed files that are read to be compared."""
    make_steady(monkeypatch)
    names: list[str] = []

    def note(path: Path) -> bytes:
        names.append(path.name)
        return digest_file(path)

    monkeypatch.setattr("airgap.state.digest_cache.digest_file", note)
    return names


@pytest.fixture
def depot(small: Side, site: Site, tmp_path: Path) -> Path:
    words = ("shop:v1", "-o", tmp_path / "depot", "--key", site.key())
    assert small.run("export", *words).code == 0
    return tmp_path / "depot"


@pytest.fixture
def installed(isolated: Side, site: Site, depot: Path, read: list[str]) -> Side:
    trust(isolated, site)
    assert isolated.run("import", depot).code == 0
    read.clear()
    return isolated


def test_what_was_installed_just_now_is_not_read_again(
    installed: Side, depot: Path, read: list[str]
) -> None:
    ran = installed.run("import", depot, "--json")

    assert {item["outcome"] for item in ran.json["items"]} == {"already there"}
    assert read == []


def test_a_file_that_was_changed_is_a_conflict_whatever_its_time_says(
    installed: Side, depot: Path, read: list[str]
) -> None:
    weights = next(installed.bentoml.rglob("weights.bin"))
    status = weights.stat()
    weights.chmod(0o644)
    weights.write_bytes(stores.noise(status.st_size, 99))
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))

    ran = installed.run("import", depot)

    assert "weights.bin: has different content here" in ran.err
    assert read == ["weights.bin"]


def test_what_was_compared_once_is_not_read_again(
    installed: Side, depot: Path, read: list[str]
) -> None:
    (installed.state / "cache" / "digests.sqlite").unlink()
    assert installed.run("import", depot).code == 0
    assert "weights.bin" in read
    read.clear()

    assert installed.run("import", depot).code == 0
    assert read == []


def test_a_dry_run_keeps_nothing(installed: Side, depot: Path) -> None:
    cache = installed.state / "cache" / "digests.sqlite"
    cache.unlink()

    assert installed.run("import", depot, "--dry-run").code == 0

    assert not cache.exists()


def test_a_check_finds_what_the_cache_does_not_know_of(
    installed: Side, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = next(installed.bentoml.rglob("weights.bin"))
    look = FileState.of
    state = look(weights.stat())
    weights.chmod(0o644)
    weights.write_bytes(stores.noise(state.size, 99))
    monkeypatch.setattr(
        FileState, "of", lambda status: state if status.st_ino == state.inode else look(status)
    )

    assert installed.run("import", depot).code == 0  # the disk rots, and no time changes
    assert installed.run("check", "ranker:v1").code != 0
