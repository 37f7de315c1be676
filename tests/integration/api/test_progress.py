"""Progress callbacks of the Python API, and what is left when one of them fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import airgap
from airgap.api.progress import ProgressEvent
from tests.support import stores
from tests.support.sides import Side, Site


class EnoughError(OSError):
    """What a callback raises; an ``OSError``, which the code below takes for a disk's."""


class Stop:
    """A callback that raises at the first event of a kind, and keeps what it saw."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.error = EnoughError("enough")
        self.events: list[ProgressEvent] = []

    def __call__(self, event: ProgressEvent, /) -> None:
        self.events.append(event)
        if event.kind == self.kind:
            raise self.error


@pytest.fixture
def office(small: Side, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    """Be on the connected side, with ``shop:v1`` and a key."""
    monkeypatch.setenv("AIRGAP_KEY", str(site.key()))
    with small.here():
        yield small


def test_an_export_tells_what_it_reads(office: Side, tmp_path: Path) -> None:
    events: list[ProgressEvent] = []

    done = airgap.export_bundle(tmp_path / "shop", bentos=["shop:v1"], progress=events.append)

    stage = [event for event in events if event.stage == "exporting"]
    assert [stage[0].kind, stage[-1].kind] == ["begin", "end"]
    assert stage[-1].done == stage[-1].total == done["size"]
    named = {event.item for event in stage if event.kind == "advance"}
    assert named == {"bento shop:v1", "model ranker:v1"}
    assert office.bentoml.is_dir()


def test_an_import_and_a_check_tell_what_they_read(isolated: Side, archive: Path) -> None:
    events: list[ProgressEvent] = []

    with isolated.here():
        airgap.verify(archive, progress=events.append)
        airgap.import_bundle(archive, progress=events.append)
        checked = airgap.check(progress=events.append)

    stages = [event for event in events if event.kind == "end"]
    assert len(stages) == 3
    assert all(event.done == event.total > 0 for event in stages)
    assert stages[-1].done == checked["bytes_read"]


@pytest.mark.parametrize("kind", ["begin", "advance"])
@pytest.mark.parametrize("name", ["shop.airgap", "depot", "shop.bento"])
def test_a_callback_that_fails_leaves_no_bundle(
    office: Side, tmp_path: Path, name: str, kind: str
) -> None:
    stop, out = Stop(kind), tmp_path / "out"
    out.mkdir()
    (out / "depot").mkdir()

    with pytest.raises(EnoughError) as caught:
        airgap.export_bundle(out / name, bentos=["shop:v1"], progress=stop)

    assert caught.value is stop.error
    assert stop.events[-1].kind == kind
    assert not list(out.glob("*.airgap"))
    assert not list(out.glob("**/manifest.msgpack"))
    assert not list(out.glob("*.bento"))
    assert not list(out.rglob("*.part"))
    again = airgap.export_bento("shop:v1", out / "again")
    assert airgap.inspect(again)["items"]
    assert office.bentoml.is_dir()


@pytest.mark.parametrize("name", ["shop.airgap", "depot", "shop.bento"])
def test_a_callback_that_fails_at_the_end_leaves_a_whole_bundle_or_none(
    office: Side, isolated: Side, tmp_path: Path, name: str
) -> None:
    with pytest.raises(EnoughError):
        airgap.export_bundle(tmp_path / name, bentos=["shop:v1"], progress=Stop("end"))

    assert not list(tmp_path.rglob("*.part"))
    if (tmp_path / name).exists():
        with isolated.here():
            assert airgap.verify(tmp_path / name)["verified"]
    assert office.bentoml.is_dir()


@pytest.mark.parametrize("kind", ["begin", "advance", "end"])
@pytest.mark.parametrize(
    "work",
    [
        lambda archive, stop: airgap.import_bundle(archive, progress=stop),
        lambda archive, stop: airgap.import_bento(archive, progress=stop),
        lambda archive, stop: airgap.verify(archive, progress=stop),
    ],
)
def test_a_callback_that_fails_leaves_nothing_half_installed(
    isolated: Side, archive: Path, kind: str, work: Callable[[Path, Stop], object]
) -> None:
    stop = Stop(kind)
    with isolated.here():
        with pytest.raises(EnoughError) as caught:
            work(archive, stop)

        assert caught.value is stop.error
        assert airgap.list_items() == []
        installed = stores.snapshot(isolated.bentoml, without=".airgap")
        assert not [path for path in installed if path.endswith(("service.py", "weights.bin"))]
        assert airgap.trust.show()["history"]["intact"]
        done = airgap.import_bundle(archive)

    assert [item["outcome"] for item in done["items"]] == ["installed", "installed"]


def test_a_callback_stops_a_push_and_a_pull(office: Side, isolated: Side, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    with pytest.raises(EnoughError):
        airgap.push("shop:v1", depot, progress=Stop("advance"))
    airgap.push("shop:v1", depot)

    with isolated.here():
        with pytest.raises(EnoughError):
            airgap.pull("shop:v1", depot, progress=Stop("advance"))
        assert airgap.list_items() == []
    assert office.bentoml.is_dir()
