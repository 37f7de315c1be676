"""SIGKILL, a full disk and company while a site remembers: never half, never two, never older."""

import errno
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from airgap.errors import PolicyError
from airgap.format.ledger import State
from airgap.ledger.check import Fault as HistoryFault
from airgap.ledger.check import read_entries
from airgap.ledger.log import LedgerStore
from tests.support import forge, refusals, store_invariants
from tests.support.faults import Fault, Launcher
from tests.support.forge import Forge
from tests.support.sides import Side, Site

REMEMBERING = re.compile(r"airgap/sites|\.airgap/witness")
LASTING = re.compile(r"write|pwrite|fsync|rename|exchange|mkdir")
STOP_TO_WAIT = Fault(signal.SIGSTOP, before="^wait for lock", again=True)
STOP_TO_APPEND = Fault(signal.SIGSTOP, before=r"^pwrite .*/ledger")


@pytest.fixture(scope="module")
def bundles(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Bundles of one channel, by number."""
    forged = Forge(tmp_path_factory.mktemp("forged"), forge.load_signer(site.key()))
    models = {n: forge.model({"w": b"%d" % n}, f"m{n}:v1") for n in range(1, 7)}
    return {
        number: forged.depot(forge.draft(model, sequence=number, channel="nightly"))
        for number, model in models.items()
    }


@pytest.fixture
def used(isolated: Side, bundles: dict[int, Path]) -> Side:
    """A side that has number 2."""
    assert isolated.run("import", bundles[2]).code == 0
    return isolated


def copies(side: Side) -> Iterator[Side]:
    """The same side again and again; each is removed before the next."""
    while True:
        copy = store_invariants.copy(side, side.top.with_name("copy"))
        yield copy
        shutil.rmtree(copy.top)


def whole(side: Side) -> bool:
    return bool(side.run("trust", "show", "--json").json["history"]["intact"])


def check(side: Side) -> tuple[State | None, HistoryFault | None]:
    """Return the state that the next import would find; or what is wrong."""
    store = LedgerStore("ward", side.state / "sites/ward", side.bentoml / ".airgap/witness/ward")
    result, fault = store.check()
    if isinstance(result, HistoryFault):
        return None, result
    return (None, fault) if fault else (result.state, None)


def events(side: Side) -> list[tuple[str, int]]:
    raw = (side.state / "sites/ward/ledger").read_bytes()
    return [(one.event, one.sequence) for one, _ in read_entries("ward", raw)]


def remembering_steps(steps: Sequence[str]) -> list[int]:
    """The numbers of the write steps of a run that touch what the site remembers."""
    return [number for number, step in enumerate(steps) if REMEMBERING.search(step)]


def test_a_kill_at_any_step_of_remembering_an_import_is_mended_by_the_next(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    sides = copies(used)
    steps = remembering_steps(launcher.run(next(sides), "import", bundles[4]).steps)
    assert len(steps) >= 8

    for step in steps:
        side = next(sides)
        ended = launcher.run(side, "import", bundles[4], fault=Fault(at=step))
        assert ended.killed, ended.last
        assert whole(side), ended.last
        assert side.run("verify", bundles[1]).code == PolicyError.exit_code, ended.last
        again = side.run("import", bundles[4])
        assert again.code == 0, f"after {ended.last}: {again.err}"
        refusals.expect_refusal(side, "import", bundles[3], error=PolicyError)
        told = events(side)
        assert told[:2] == [("begun", 0), ("imported", 2)], ended.last
        assert set(told[2:]) == {("imported", 4)}, ended.last
        assert store_invariants.left_over(side) == [], ended.last


def test_kills_one_after_the_other_never_make_the_memory_unreadable(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    ended = launcher.run(next(copies(used)), "import", bundles[4])
    shutil.rmtree(used.top.with_name("copy"))
    for number, step in enumerate(remembering_steps(ended.steps)):
        launcher.run(used, "import", bundles[3 + number % 4], fault=Fault(at=step))
        assert whole(used)

    assert used.run("import", bundles[6]).code == 0
    sequences = [sequence for event, sequence in events(used) if event == "imported"]
    assert sequences == sorted(sequences)


def test_a_kill_at_any_step_of_a_refusal_leaves_the_memory_whole(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    sides = copies(used)
    steps = remembering_steps(launcher.run(next(sides), "import", bundles[1]).steps)
    assert steps

    for step in steps:
        side = next(sides)
        ended = launcher.run(side, "import", bundles[1], fault=Fault(at=step))
        assert ended.killed
        assert whole(side), ended.last
        assert side.run("import", bundles[1]).code == PolicyError.exit_code
        assert events(side)[2:] == [("refused", 1)], ended.last


def test_a_kill_at_any_step_of_the_beginning_is_mended_by_running_it_again(
    site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    begin = ("trust", "init", site.root, "--fingerprint", site.fingerprint)
    step, side = 0, Side(tmp_path / "side")
    while True:
        side.top.mkdir()
        ended = launcher.run(side, *begin, fault=Fault(at=step))
        if not ended.killed:
            break
        assert side.run(*begin).code == 0, ended.last
        assert whole(side), ended.last
        assert {one for one, _ in events(side)} <= {"begun", "trusted"}
        shutil.rmtree(side.top)
        step += 1

    assert ended.code == 0
    assert step > 20


def remove_state(folder: Path) -> None:
    (folder / "state").unlink()


def flip_first_entry(folder: Path) -> None:
    """Damage the first entry, so that none of them can be proven; the state has the numbers."""
    raw = bytearray((folder / "ledger").read_bytes())
    raw[int.from_bytes(raw[:4], "big")] ^= 1
    (folder / "ledger").write_bytes(raw)


@pytest.mark.parametrize("damage", [remove_state, flip_first_entry])
def test_a_kill_at_any_step_of_a_reset_leaves_it_done_or_to_be_done(
    damage: Callable[[Path], None], used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    damage(used.state / "sites/ward")
    head = used.run("trust", "show", "--json").json["history"]["head"]
    reset = ("trust", "reset-state", "--yes", head)
    sides = copies(used)
    steps = len(launcher.run(next(sides), *reset).steps)
    assert steps > 15

    for step in range(steps):
        side = next(sides)
        ended = launcher.run(side, *reset, fault=Fault(at=step))
        assert ended.killed
        if not whole(side):
            now = side.run("trust", "show", "--json").json["history"]["head"]
            assert side.run("trust", "reset-state", "--yes", now).code == 0, ended.last
        refusals.expect_refusal(side, "import", bundles[1], error=PolicyError)
        assert side.run("import", bundles[3]).code == 0, ended.last


def test_a_disk_that_is_full_when_an_import_is_to_be_remembered_is_told(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    sides = copies(used)
    steps = remembering_steps(launcher.run(next(sides), "import", bundles[4]).steps)

    for step in steps:
        side = next(sides)
        ended = launcher.run(side, "import", bundles[4], fault=Fault(at=step, full=True))
        assert ended.code in (0, 15), ended.last  # 0: nothing that comes after it needs space
        assert "Traceback" not in ended.err
        assert whole(side), ended.last
        assert side.run("import", bundles[4]).code == 0, ended.last
        assert ("imported", 4) in events(side)


def test_without_room_for_the_entry_nothing_is_renamed_into_place(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    before, ledger = store_invariants.items(used), events(used)

    ended = launcher.run(
        used, "import", bundles[4], fault=Fault(before="^pwrite .*/ledger", full=True)
    )

    assert ended.code == 15
    assert store_invariants.items(used) == before
    assert events(used) == ledger
    assert whole(used)


@pytest.mark.parametrize("again", ["once", "for ever"])
def test_what_fails_while_an_import_is_recorded_or_renamed_never_lets_an_older_bundle_in(
    again: str, used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    sides = copies(used)
    steps = launcher.run(next(sides), "import", bundles[5]).steps
    first = remembering_steps(steps)[0]
    codes: set[int] = set()

    for step in (number for number in range(first, len(steps)) if LASTING.match(steps[number])):
        side = next(sides)
        fault = Fault(at=step, error=errno.EIO, again=again == "for ever")
        ended = launcher.run(side, "import", bundles[5], fault=fault)
        codes.add(ended.code)
        assert ended.code in (0, 15), f"{ended.code} after {steps[step]}: {ended.err}"
        assert "Traceback" not in ended.err, steps[step]
        state, harm = check(side)
        assert state is not None, f"{harm} after {steps[step]}"
        installed = (side.bentoml / "models/m5").is_dir()
        assert installed or ended.code, f"nothing is installed, and nothing is told: {steps[step]}"
        if installed:
            assert state.last_sequence("nightly") == 5, steps[step]
        assert side.run("import", bundles[5]).code == 0, steps[step]
        assert {event for event, _ in events(side)[2:]} <= {"imported", "incomplete"}
        assert events(side)[-1] == ("imported", 5), steps[step]
    assert codes == {0, 15}


def test_a_refusal_is_told_even_if_the_ledger_cannot_note_it(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    full = Fault(before=r"^pwrite .*/ledger", full=True)

    ended = launcher.run(used, "import", bundles[1], fault=full)

    assert ended.code == PolicyError.exit_code
    assert "could not be recorded in the ledger" in ended.err
    assert whole(used)


class SecondHome(Side):
    """The same machine, with another BentoML home: only the ledger is shared."""

    @property
    def bentoml(self) -> Path:
        return self.top / "second"


def test_of_two_imports_of_a_site_one_waits_for_the_ledger_and_says_so(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    other = SecondHome(used.top)
    first = launcher.start(used, "import", bundles[3], fault=STOP_TO_APPEND).stopped()
    second = launcher.start(other, "import", bundles[4], fault=STOP_TO_WAIT).stopped()

    assert "Waiting for another import" in second.told()
    assert first.go_on().end().code == 0
    assert second.go_on().end().code == 0
    assert events(used)[2:] == [("imported", 3), ("imported", 4)]


def test_an_import_that_waited_is_refused_if_it_was_overtaken(
    used: Side, bundles: dict[int, Path], launcher: Launcher
) -> None:
    other = SecondHome(used.top)
    first = launcher.start(used, "import", bundles[4], fault=STOP_TO_APPEND).stopped()
    second = launcher.start(other, "import", bundles[3], fault=STOP_TO_WAIT).stopped()

    assert first.go_on().end().code == 0
    ended = second.go_on().end()

    assert ended.code == PolicyError.exit_code
    assert store_invariants.items(other) == {}
    assert events(used)[2:] == [("imported", 4), ("refused", 3)]


def test_looking_needs_no_lock(used: Side, bundles: dict[int, Path], launcher: Launcher) -> None:
    first = launcher.start(used, "import", bundles[4], fault=STOP_TO_APPEND).stopped()

    assert used.run("verify", bundles[5]).code == 0
    assert whole(used)

    assert first.go_on().end().code == 0
