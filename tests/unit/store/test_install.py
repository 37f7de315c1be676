"""Locks that cannot be had, and what a try that went wrong leaves in the way of an install."""

import errno
import fcntl
from pathlib import Path

import pytest

from airgap.store import install
from tests.support import interruptions, store_invariants, stores
from tests.support.interruptions import Scenario
from tests.support.sides import Side, Site


@pytest.fixture
def replacing(site: Site, tmp_path: Path) -> Scenario:
    return interruptions.make("replacing", tmp_path / "made", site)


def test_an_old_item_that_a_killed_try_kept_is_not_in_the_way_of_the_next(
    replacing: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_exchange", lambda *_: False)
    side = replacing.begin(tmp_path / "side")
    with monkeypatch.context() as failing:
        failing.setattr("airgap.flow.importing.install_bundle.remove_staging", _refuse)
        assert side.run(*replacing.arguments).code == 15
    stores.write_files(side.bentoml / "models/ranker/v1", {"changed": b"meanwhile"})

    replacing.expect_finished(side, "a try that could not remove what it had replaced")


def test_a_home_that_is_a_link_to_nowhere_is_told(depot: Path, isolated: Side) -> None:
    isolated.bentoml.symlink_to("nowhere")

    ran = isolated.run("import", depot)

    assert ran.code == 15
    assert "File exists" in ran.err
    assert store_invariants.items(isolated) == {}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at /proc")
def test_an_interruption_while_waiting_for_the_lock_lets_go_of_it(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with install.lock_store(tmp_path, lambda: None):
        before = _open_files()
        with pytest.raises(KeyboardInterrupt), install.lock_store(tmp_path, interrupt):
            pass
        assert _open_files() == before


def test_a_lock_that_the_file_system_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", _refuse)

    with pytest.raises(OSError, match="refused"), install.lock_store(tmp_path / "x", lambda: None):
        pass


def _open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "refused")
