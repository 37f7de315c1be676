"""Ctrl-C and SIGTERM: exit code 130, a sentence, whole items, and a rerun that finishes."""

import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.support import interruptions, store_invariants
from tests.support.faults import Ended, Fault, Launcher
from tests.support.sides import Side, Site

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
STRIDE = 3  # every third step: a signal is an exception, and kills are tried at every one


@SIGNALS
@pytest.mark.parametrize("name", ["fresh", "merging"])
def test_an_import_that_is_interrupted_leaves_whole_items_and_a_rerun_finishes(
    name: str, number: int, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make(name, tmp_path / "made", site)
    side = scenario.begin(tmp_path / "side")
    step = number % STRIDE  # so that the two signals meet different steps
    while (ended := launcher.run(side, *scenario.arguments, fault=Fault(number, step))).code:
        _expect_interrupted(ended)
        scenario.expect_whole(side, ended.last)
        scenario.expect_finished(side, ended.last)
        shutil.rmtree(side.top)
        side = scenario.begin(side.top)
        step += STRIDE

    assert len(ended.steps) <= step


@SIGNALS
@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_an_export_that_is_interrupted_leaves_a_part_at_most_and_a_rerun_finishes(
    form: str, number: int, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    sender, out = Side(tmp_path / "sender"), tmp_path / "out"
    sender.top.mkdir()
    out.mkdir()
    interruptions.fresh(sender, sender)
    export = ("export", "shop:v1", "-o", out / form, "--key", site.key(), "--jobs", "1")
    assert sender.run(*export).code == 0
    after = store_invariants.content(out)
    step = number % STRIDE
    _empty(out)
    while (ended := launcher.run(sender, *export, fault=Fault(number, step))).code:
        _expect_interrupted(ended)
        there = {
            path: digest
            for path, digest in store_invariants.content(out).items()
            if not path.endswith(".part")  # a file's part, with which the rerun goes on
        }
        assert there.items() <= after.items(), ended.last
        assert sender.run(*export).code == 0
        assert store_invariants.content(out) == after, ended.last
        _empty(out)
        step += STRIDE

    assert len(ended.steps) <= step


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@SIGNALS
def test_an_import_that_is_interrupted_at_random_moments_ends_in_words(
    number: int, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make("fresh", tmp_path / "made", site)
    side = scenario.begin(tmp_path / "side")
    counted = launcher.run(side, *scenario.arguments, fault=Fault(count_calls=True))
    chance = random.Random(number)  # noqa: S311  (repeatable, not secret)
    for call in chance.sample(range(100, counted.calls * 9 // 10), 10):
        shutil.rmtree(side.top)
        side = scenario.begin(side.top)
        ended = launcher.run(side, *scenario.arguments, fault=Fault(number, call=call))
        _expect_interrupted(ended)
        scenario.expect_whole(side, f"call {call}")
        scenario.expect_finished(side, f"call {call}")


def _expect_interrupted(ended: Ended) -> None:
    """Ended by itself (so no thread hangs), with the code and words for it and no traceback."""
    assert ended.code == 130, f"{ended.last}: {ended.err}"
    assert "Stopped" in ended.err
    assert "Traceback" not in ended.err, ended.last
    assert "Exception ignored" not in ended.err, ended.last
