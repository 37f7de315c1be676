"""Two commands at once: one waits or they share, and both end well."""

import signal
from pathlib import Path

import pytest

from tests.support import interruptions, store_invariants, stores
from tests.support.faults import Fault, Launcher
from tests.support.interruptions import Scenario
from tests.support.sides import Side, Site

STOP_TO_INSTALL = Fault(signal.SIGSTOP, before=r"^rename .*/models/ranker/v1$")
STOP_TO_WAIT = Fault(signal.SIGSTOP, before="^wait for lock", again=True)
STOP_IN_PACK = Fault(signal.SIGSTOP, before=r"^rename .*\.pack$")


@pytest.fixture
def scenario(site: Site, tmp_path: Path) -> Scenario:
    return interruptions.make("fresh", tmp_path / "made", site)


@pytest.fixture
def side(scenario: Scenario, tmp_path: Path) -> Side:
    return scenario.begin(tmp_path / "side")


def test_of_two_imports_of_a_bundle_one_waits_and_says_so(
    scenario: Scenario, side: Side, launcher: Launcher
) -> None:
    first = launcher.start(side, *scenario.arguments, fault=STOP_TO_INSTALL).stopped()
    second = launcher.start(side, *scenario.arguments, fault=STOP_TO_WAIT).stopped()

    assert "waiting for it to end" in second.told()
    assert first.go_on().end().code == 0
    ended = second.go_on().end()
    assert ended.code == 0
    assert "nothing was done" in ended.out
    assert store_invariants.store_contents(side) == scenario.after


def test_an_import_that_waits_finishes_the_work_of_one_that_is_killed(
    scenario: Scenario, side: Side, launcher: Launcher
) -> None:
    first = launcher.start(side, *scenario.arguments, fault=STOP_TO_INSTALL).stopped()
    second = launcher.start(side, *scenario.arguments, fault=STOP_TO_WAIT).stopped()

    assert first.kill().killed
    ended = second.go_on().end()

    assert ended.code == 0
    assert not [step for step in ended.steps if step.startswith("pwrite side/bentoml")], (
        "staged anew"
    )
    assert store_invariants.store_contents(side) == scenario.after


def test_a_lock_that_its_holder_removed_is_no_lock(
    scenario: Scenario, side: Side, launcher: Launcher
) -> None:
    first = launcher.start(side, *scenario.arguments, fault=STOP_TO_INSTALL).stopped()
    second = launcher.start(side, *scenario.arguments, fault=STOP_TO_WAIT).stopped()
    assert first.kill().killed
    (side.bentoml / ".airgap" / "lock").unlink()  # as if it had ended well
    third = launcher.start(side, *scenario.arguments, fault=STOP_TO_INSTALL).stopped()

    second.go_on().stopped()  # it waits for the third: the old lock was given to it for nothing

    assert third.go_on().end().code == 0
    assert second.go_on().end().code == 0
    assert store_invariants.store_contents(side) == scenario.after


def test_two_imports_of_bundles_that_share_a_model_install_both(
    scenario: Scenario, side: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    sender = Side(tmp_path / "made" / "sender")
    _add_other(sender)
    export = ("export", "other:v1", "-o", tmp_path / "others", "--key", site.key())
    assert sender.run(*export).code == 0

    first = launcher.start(side, *scenario.arguments, fault=STOP_TO_INSTALL).stopped()
    second = launcher.start(side, "import", tmp_path / "others", fault=STOP_TO_WAIT).stopped()
    assert first.go_on().end().code == 0
    ended = second.go_on().end()

    assert ended.code == 0
    assert "already there: model ranker:v1" in ended.out
    assert store_invariants.items(side) == store_invariants.items(sender)


@pytest.mark.parametrize("step", [r"^rename .*\.pack$", r"^(try|wait for) lock", r"^open .*\.part"])
def test_two_exports_of_a_bento_into_a_depot_make_one_bundle(
    step: str, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    sender, depots = _sender(tmp_path), [tmp_path / "one", tmp_path / "two"]
    one, two = (_export(depot, site, "shop:v1") for depot in depots)
    assert sender.run(*one).code == 0

    first = launcher.start(sender, *two, fault=Fault(signal.SIGSTOP, before=step)).stopped()
    second = launcher.run(sender, *two)
    ended = first.go_on().end()

    assert (ended.code, second.code) == (0, 0), ended.err
    assert store_invariants.content(depots[1]) == store_invariants.content(depots[0])


def test_two_exports_of_bentos_that_share_a_model_leave_two_whole_bundles(
    site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    sender, depots = _sender(tmp_path), [tmp_path / "one", tmp_path / "two"]
    _add_other(sender)
    for tag in ("shop:v1", "other:v1"):
        assert sender.run(*_export(depots[0], site, tag)).code == 0

    first = launcher.start(sender, *_export(depots[1], site, "shop:v1"), fault=STOP_IN_PACK)
    first.stopped()
    second = launcher.run(sender, *_export(depots[1], site, "other:v1"))
    ended = first.go_on().end()

    assert (ended.code, second.code) == (0, 0), ended.err
    assert store_invariants.content(depots[1]) == store_invariants.content(depots[0])


def test_a_part_that_another_process_writes_is_not_taken_for_abandoned(
    site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    sender, depot = _sender(tmp_path), tmp_path / "depot"
    first = launcher.start(sender, *_export(depot, site, "shop:v1"), fault=STOP_IN_PACK).stopped()
    (part,) = depot.rglob("*.part")

    assert launcher.run(sender, *_export(depot, site, "shop:v1")).code == 0

    assert part.exists()
    assert first.kill().killed


def _sender(top: Path) -> Side:
    sender = Side(top / "sender")
    sender.top.mkdir()
    interruptions.fresh(sender, sender)
    return sender


def _add_other(sender: Side) -> None:
    stores.add_bento(sender, "other:v1", {"x.py": b"other"}, models=["ranker:v1"])


def _export(depot: Path, site: Site, tag: str) -> tuple[str | Path, ...]:
    return ("export", tag, "-o", depot, "--key", site.key(), "--jobs", "1")
