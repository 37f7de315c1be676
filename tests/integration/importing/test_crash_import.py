"""SIGKILL during an import: nothing or the whole of each item, and a rerun finishes."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import forge, interruptions, store_invariants
from tests.support.faults import Fault, Launcher
from tests.support.forge import Forge
from tests.support.interruptions import Scenario
from tests.support.sides import Side, Site

SEED = 20260102


@pytest.fixture(scope="module", params=interruptions.SCENARIOS)
def scenario(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    return interruptions.make(request.param, tmp_path_factory.mktemp(request.param), site)


@pytest.fixture
def fresh_sides(scenario: Scenario, tmp_path: Path) -> Iterator[Side]:
    """Sides where the import has not begun, without end; each is removed before the next."""

    def sides() -> Iterator[Side]:
        while True:
            yield scenario.begin(tmp_path / "side")
            shutil.rmtree(tmp_path / "side")

    return sides()


def test_a_kill_before_any_write_step_leaves_whole_items_and_a_rerun_finishes(
    scenario: Scenario, fresh_sides: Iterator[Side], launcher: Launcher
) -> None:
    step, side = 0, next(fresh_sides)
    while (ended := launcher.run(side, *scenario.arguments, fault=Fault(at=step))).killed:
        scenario.expect_whole(side, ended.last)
        scenario.expect_finished(side, ended.last)
        step, side = step + 1, next(fresh_sides)

    assert ended.code == 0, ended.err
    assert len(ended.steps) == step > 30


def test_kills_one_after_the_other_leave_whole_items_and_end_in_the_same(
    scenario: Scenario, fresh_sides: Iterator[Side], launcher: Launcher
) -> None:
    chance = random.Random(f"{SEED} {scenario.name}")  # noqa: S311  (repeatable, not secret)
    side = next(fresh_sides)
    for _ in range(15):
        ended = launcher.run(side, *scenario.arguments, fault=Fault(at=chance.randrange(60)))
        scenario.expect_whole(side, ended.last)

    scenario.expect_finished(side, "15 kills")


def test_a_kill_at_a_random_moment_leaves_whole_items_and_a_rerun_finishes(
    scenario: Scenario, fresh_sides: Iterator[Side], launcher: Launcher
) -> None:
    chance = random.Random(f"{SEED} {scenario.name}")  # noqa: S311
    counted = launcher.run(next(fresh_sides), *scenario.arguments, fault=Fault(count_calls=True))
    assert counted.calls > 1000
    for call in sorted(chance.sample(range(1, counted.calls), 10)):
        side = next(fresh_sides)
        ended = launcher.run(side, *scenario.arguments, fault=Fault(call=call))
        moment = f"call {call} of {counted.calls} ({ended.last})"
        assert ended.killed, moment
        scenario.expect_whole(side, moment)
        scenario.expect_finished(side, moment)


def test_staging_is_used_again_by_the_next_try(
    site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make("fresh", tmp_path, site)
    side = scenario.begin(tmp_path / "side")
    ended = launcher.run(side, *scenario.arguments, fault=Fault(before="^syncfs"))
    assert ended.killed
    shutil.rmtree(scenario.source / "packs")  # nothing of them is needed any more

    scenario.expect_finished(side, ended.last)


@pytest.mark.parametrize("name", ["replacing", "merging"])
def test_without_an_atomic_swap_a_kill_between_the_two_renames_is_mended_by_a_rerun(
    name: str, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make(name, tmp_path / "made", site)
    side = scenario.begin(tmp_path / "side")
    between = Fault(before=r"^rename \S*\.airgap\S* -> \S*(models|snapshots)/")

    ended = launcher.run(side, *scenario.arguments, fault=between, swap=False)

    assert ended.killed
    assert "~old" in "".join(ended.steps)
    scenario.expect_finished(side, ended.last)


def test_the_next_import_of_any_bundle_puts_back_what_was_to_be_replaced(
    site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make("replacing", tmp_path / "made", site)
    side = scenario.begin(tmp_path / "side")
    before = store_invariants.items(side)
    between = Fault(before=r"^rename \S*\.airgap\S* -> \S*models/")
    assert launcher.run(side, *scenario.arguments, fault=between, swap=False).killed
    assert not (side.bentoml / "models/ranker/v1").exists()
    other = Forge(tmp_path, forge.load_signer(site.key())).depot(
        forge.draft(forge.model({"x": b"x"}, "other:v1"))
    )

    assert side.run("import", other).code == 0
    assert before.items() <= store_invariants.items(side).items()


def test_without_an_atomic_swap_the_old_item_is_put_back_if_the_new_cannot_take_its_place(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = interruptions.make("replacing", tmp_path, site)
    side = scenario.begin(tmp_path / "side")
    before = store_invariants.items(side)
    monkeypatch.setattr("airgap.store.install._exchange", lambda *_: False)
    rename = Path.rename

    def refuse_the_new(path: Path, target: Path) -> Path:
        if target.name == "v1" and not path.name.endswith("~old"):
            raise PermissionError(13, "Permission denied", str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    ran = side.run(*scenario.arguments)

    assert ran.code == 15
    assert store_invariants.items(side) == before
