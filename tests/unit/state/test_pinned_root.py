"""The pinned root is one or the other, whenever a process that replaces it is killed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airgap.errors import ConflictError
from airgap.flow.bundle import open_bundle
from airgap.state import pinned_root
from tests.support import signers, stores
from tests.support.fork_server import resolve_path
from tests.support.sides import Side
from tests.support.signers import make_root, team

ALL = 64
STEPS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.chmod"})


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL; no step after it happens."""


class Executioner:
    """Kills before step ``at`` of those that touch ``folder``."""

    def __init__(self) -> None:
        self.folder = ""
        self.at = self.count = 0
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder and event in STEPS and self._is_within(arguments[0]):
            self.count += 1
            if self.count > self.at:
                raise Killed

    def _is_within(self, path: object) -> bool:
        return isinstance(path, (int, str, Path)) and resolve_path(path).startswith(self.folder)

    @contextmanager
    def killing(self, folder: Path, at: int) -> Iterator[None]:
        self.folder, self.at, self.count = str(folder), at, 0
        try:
            yield
        finally:
            self.folder = ""


@pytest.fixture(scope="module")
def executioner() -> Executioner:
    """Made once: Python forgets no audit hook."""
    return Executioner()


@pytest.fixture
def machine(tmp_path: Path) -> Side:
    side = Side(tmp_path / "isolated")
    side.top.mkdir()
    signers.pin(side, make_root(1, root=team("ann amy", 2)), "ann amy")
    return side


@pytest.mark.parametrize("at", range(ALL))
def test_a_kill_at_any_step_of_an_update_leaves_one_root_whole(
    machine: Side, tmp_path: Path, executioner: Executioner, at: int
) -> None:
    path = tmp_path / "next.msgpack"
    signers.write_root(path, make_root(2, root=team("amy")), "ann amy")

    with executioner.killing(machine.state, at), pytest.raises(Killed):
        machine.run("trust", "update", path)

    with machine.here():
        assert open_bundle.require_root().value.version in (1, 2)
    again = machine.run("trust", "update", path)
    assert again.code == 0, again.err
    assert machine.run("trust", "show", "--json").json["version"] == 2


def test_the_steps_above_are_all_there_are(
    machine: Side, tmp_path: Path, executioner: Executioner
) -> None:
    path = tmp_path / "next.msgpack"
    signers.write_root(path, make_root(2, root=team("amy")), "ann amy")

    with executioner.killing(machine.state, 1_000):
        assert machine.run("trust", "update", path).code == 0

    assert executioner.count == ALL


def test_what_a_killed_update_left_goes_with_the_next(machine: Side, tmp_path: Path) -> None:
    left = machine.state / "trust" / f"{'0' * 64}.msgpack.part"
    left.write_bytes(b"half")
    path = tmp_path / "next.msgpack"
    signers.write_root(path, make_root(2), "ann amy")

    assert machine.run("trust", "update", path).code == 0

    assert not left.exists()


def test_of_two_updates_at_once_the_later_one_says_so(machine: Side) -> None:
    before = stores.snapshot(machine.top)

    with machine.here(), pytest.raises(ConflictError):
        pinned_root.save_root(b"a newer root", {}, "SHA256:" + "1" * 64, "SHA256:" + "0" * 64)

    assert stores.snapshot(machine.top) == before
