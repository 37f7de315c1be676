"""Signing that is killed, and two who sign at once: the bundle stays valid, with all signatures."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.support import sides, store_invariants
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, Site

FORMS = pytest.mark.parametrize("form", ["depot", "shop.airgap"])


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with three builders, of whom one is enough."""
    return sides.make_site(tmp_path_factory.mktemp("three"), builders=3)


@pytest.fixture
def receiver(tmp_path: Path, three: Site) -> Side:
    side = Side(tmp_path / "receiver")
    side.top.mkdir()
    sides.trust(side, three)
    return side


@FORMS
def test_a_kill_before_any_write_step_of_signing_leaves_a_bundle_that_verifies(
    form: str, small: Side, three: Site, receiver: Side, launcher: Launcher, tmp_path: Path
) -> None:
    kept, out = tmp_path / "kept", tmp_path / "out"
    kept.mkdir()
    _export(small, three, kept / form)
    shutil.copytree(kept, out)
    sign = ("sign", out / form, "--key", three.key(2))
    assert small.run(*sign).code == 0
    after = store_invariants.content(out)
    step = 0
    while True:
        shutil.rmtree(out)
        shutil.copytree(kept, out)
        ended = launcher.run(small, *sign, fault=Fault(at=step))
        if not ended.killed:
            break
        assert receiver.run("verify", out / form).code == 0, ended.last
        assert small.run(*sign).code == 0, ended.last
        assert store_invariants.content(out) == after, ended.last
        step += 1

    assert step > 3


@FORMS
def test_of_two_who_sign_at_once_both_signatures_are_kept(
    form: str, small: Side, three: Site, receiver: Side, launcher: Launcher, tmp_path: Path
) -> None:
    location = tmp_path / form
    _export(small, three, location)
    stop = Fault(signal.SIGSTOP, before="^write ")
    first = launcher.start(small, "sign", location, "--key", three.key(2), fault=stop).stopped()
    wait = Fault(signal.SIGSTOP, before="^wait for lock")
    second = launcher.start(small, "sign", location, "--key", three.key(3), fault=wait).stopped()

    assert first.go_on().end().code == 0
    assert second.go_on().end().code == 0

    ran = receiver.run("verify", location, "--json")
    assert len(ran.json["signed_by"]) == 3, ran.json


def _export(side: Side, site: Site, location: Path) -> None:
    assert side.run("export", "shop:v1", "-o", location, "--key", site.key()).code == 0
