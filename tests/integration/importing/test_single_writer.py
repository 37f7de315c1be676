"""Small files are written by one thread that decodes nothing: several wait for their folder."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from airgap.codec.table import decode
from airgap.store.staging import StagedItem
from tests.support import stores
from tests.support.sides import Side, Site

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def with_sources(connected: Side, site: Site, tmp_path: Path) -> Path:
    """A depot of a model with 90 sources, one of them twice, and 3 MB of weights."""
    files = {f"src/{number}.py": stores.noise(30_000, number) for number in range(90)}
    files |= {"again.py": files["src/1.py"], "weights.bin": stores.noise(3_000_000)}
    stores.add_model(connected, "ranker:v1", files)
    depot = tmp_path / "depot"
    ran = connected.run("export", "--model", "ranker:v1", "-o", depot, "--key", site.key())
    assert ran.code == 0, ran.err
    return depot


def note_threads(run: Callable[P, T], threads: set[int]) -> Callable[P, T]:
    """Return the function, which also notes the threads that call it."""

    def noting(*args: P.args, **kwargs: P.kwargs) -> T:
        threads.add(threading.get_ident())
        return run(*args, **kwargs)

    return noting


def test_one_thread_writes_small_files_while_others_decode(
    with_sources: Path, connected: Side, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding: set[int] = set()
    small: set[int] = set()
    large: set[int] = set()
    write = StagedItem.write
    writers = {True: note_threads(write, small), False: note_threads(write, large)}
    monkeypatch.setattr("airgap.flow.importing.unpack.decode", note_threads(decode, decoding))
    monkeypatch.setattr(
        StagedItem,
        "write",
        lambda item, file, at, data: writers[file.size < 64 * 1024](item, file, at, data),
    )

    ran = isolated.run("import", with_sources, "--jobs", "3")

    assert ran.code == 0, ran.err
    assert len(small) == 1
    assert small.isdisjoint(decoding)
    assert large <= decoding
    assert large
    before, after = (side.bentoml / "models/ranker/v1" for side in (connected, isolated))
    assert [*stores.snapshot(before).values()] == [*stores.snapshot(after).values()]
