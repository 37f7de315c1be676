"""SIGKILL while an image is built, saved or pushed: nothing half, and the next run finishes."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.image.test_push import AMD_BLOBS, ARM_BLOBS, INDEX
from tests.servers import fake_registry
from tests.servers.fake_registry import Answer, FakeRegistry
from tests.support import image_builds, oci_images, store_invariants, stores
from tests.support.closure_items import hex_of
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side

SECONDS = 60


@pytest.fixture
def begin(isolated: Side, tmp_path: Path) -> Callable[[], Side]:
    """Give copies of a side that has what is needed, each in the place of the one before."""
    image_builds.add_bento(isolated)
    image_builds.install_wheelhouse(isolated)
    oci_images.install(isolated, INDEX, [INDEX, *AMD_BLOBS, *ARM_BLOBS])

    def copy() -> Side:
        shutil.rmtree(tmp_path / "copies", ignore_errors=True)
        return store_invariants.copy(isolated, tmp_path / "copies/side")

    return copy


def expect_whole_images(side: Side) -> bool:
    """Demand that every image under a version is complete; a build may be run again anyway."""
    for folder in side.bentoml.glob("images/*/*"):
        if folder.suffix != ".part":
            blobs = list((folder / "blobs/sha256").iterdir())
            assert blobs
            assert all(hex_of(blob.read_bytes()) == blob.name for blob in blobs)
            (top,) = json.loads((folder / "index.json").read_bytes())["manifests"]
            assert (folder / "blobs/sha256" / top["digest"][7:]).exists()
    return False


def run_with_kills(
    launcher: Launcher,
    begin: Callable[[], Side],
    words: tuple[str | Path, ...],
    is_complete: Callable[[Side], bool],
) -> None:
    """Kill a command before each write step; after each kill, its rerun must end in the same.

    ``is_complete`` fails if something is half, and tells whether nothing is left to be done.
    """
    side = begin()
    launcher.rehearse(side, *words)
    finished = stores.snapshot(side.top.parent)
    step = 0
    while (ended := launcher.run(side := begin(), *words, fault=Fault(at=step))).killed:
        if not is_complete(side):
            again = launcher.run(side, *words)
            assert again.code == 0, f"{ended.last}: {again.err}"
        assert stores.snapshot(side.top.parent) == finished, ended.last
        step += 1
    assert ended.code == 0, ended.err
    assert step > 5


def test_a_killed_build_leaves_no_half_image_and_a_rerun_cleans_up(
    begin: Callable[[], Side], launcher: Launcher, tmp_path: Path
) -> None:
    base = image_builds.base_layout(tmp_path / "base")
    words = ("image", "build", "shop:v1", "--base", base, "--tmpdir", tmp_path)
    run_with_kills(launcher, begin, words, expect_whole_images)


@pytest.mark.parametrize("name", ["saved.tar", "saved"])
def test_a_killed_save_leaves_nothing_under_its_name_and_a_rerun_cleans_up(
    name: str, begin: Callable[[], Side], launcher: Launcher, tmp_path: Path
) -> None:
    saved = tmp_path / "copies" / name
    form = "layout" if name == "saved" else "oci-archive"
    version = oci_images.version_of(INDEX, [INDEX, *AMD_BLOBS, *ARM_BLOBS])
    words = ("image", "save", f"shop:{version}", saved, "--format", form)

    run_with_kills(launcher, begin, words, lambda _: saved.exists())


class Killer:
    """Kills a process at its request number ``at``, before or after the registry has obeyed.

    After it has obeyed, only requests count that change what it holds.
    """

    def __init__(self, registry: FakeRegistry, at: int, *, after: bool) -> None:
        self._registry = registry
        self._left = at
        self._after = after
        self._pid = 0
        self._started = threading.Event()
        registry.override = self.answer

    def aim(self, pid: int) -> None:
        self._pid = pid
        self._started.set()

    def answer(self, method: str, target: str, body: bytes) -> Answer | None:
        if self._after and method in ("GET", "HEAD"):
            return None
        self._left -= 1
        if self._left >= 0:
            return None
        self._registry.override = lambda *_: None
        if self._after:
            headers = self._registry.requests.pop()[2]
            self._registry.answer(method, target, headers, body)
        assert self._started.wait(SECONDS)
        os.kill(self._pid, signal.SIGKILL)
        return Answer(0)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry.serve() as served:
        yield served


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_push_that_is_killed_at_any_request_leaves_nothing_half_and_goes_on(
    registry: FakeRegistry, isolated: Side, launcher: Launcher, *, after: bool
) -> None:
    tag = oci_images.install(isolated, INDEX, [INDEX, *AMD_BLOBS, *ARM_BLOBS])
    words = ("image", "push", tag, f"{registry.host}/team/shop:1.4", "--json")
    launcher.rehearse(isolated, *words)
    kills = 0
    while True:
        registry.blobs.clear()
        registry.manifests.clear()
        registry.uploads.clear()
        killer = Killer(registry, kills, after=after)
        child = launcher.start(isolated, *words)
        killer.aim(child.pid)
        ended = child.end()
        expect_nothing_half(registry)
        if not ended.killed:
            break
        again = launcher.run(isolated, *words)
        assert again.code == 0, again.err
        assert registry.manifests["1.4"] == INDEX
        expect_nothing_half(registry)
        kills += 1
    assert ended.code == 0, ended.err
    assert kills > 10


def expect_nothing_half(registry: FakeRegistry) -> None:
    """Demand that each manifest follows what it names, and that each blob is what its name says."""
    assert all(hex_of(data) == name for name, data in registry.blobs.items())
    held = {f"sha256:{name}" for name in registry.blobs} | set(registry.manifests)
    for raw in registry.manifests.values():
        document = json.loads(raw)
        named = document.get("manifests") or [document["config"], *document["layers"]]
        assert {blob["digest"] for blob in named} <= held
