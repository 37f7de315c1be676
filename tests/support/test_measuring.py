"""Variants of a test are measured as long as they reach new lines."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support import measuring
from tests.support.measuring import Measuring


@dataclass
class Tracer:
    """Stands in for coverage: it reaches lines only while it is on."""

    on: bool = True
    data: dict[str, set[int]] = field(default_factory=lambda: {"airgap/x.py": set()})

    @property
    def _collector(self) -> "Tracer":
        return self

    def start(self) -> None:
        assert not self.on
        self.on = True

    def stop(self) -> None:
        assert self.on
        self.on = False

    def reach(self, line: int) -> None:
        if self.on:
            self.data["airgap/x.py"].add(line)


@pytest.fixture
def tracer() -> Tracer:
    return Tracer()


@pytest.fixture
def plugin(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> Measuring:
    monkeypatch.setattr(
        measuring, "Coverage", SimpleNamespace(current=lambda: tracer if tracer.on else None)
    )
    return Measuring(cast("Any", tracer))


def run(plugin: Measuring, tracer: Tracer, name: str, line: int, file: str = "test_x.py") -> bool:
    """Run a test that reaches a line; tell whether that was measured."""
    item = SimpleNamespace(nodeid=name, path=Path(file), get_closest_marker=lambda _: None)
    protocol = plugin.pytest_runtest_protocol(cast("Any", item))
    next(protocol)
    tracer.reach(line)
    measured = tracer.on
    with pytest.raises(StopIteration):
        protocol.send(None)
    return measured


def test_variants_that_reach_nothing_new_are_soon_not_measured(
    plugin: Measuring, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "ENOUGH_OF_A_FILE", 1000)
    count = 1 + measuring.ENOUGH + 2
    measured = [run(plugin, tracer, f"test_x.py::test[{number}]", 1) for number in range(count)]

    assert measured == [True] * (count - 2) + [False] * 2
    assert run(plugin, tracer, "test_x.py::other", 1)


def test_of_a_file_that_reaches_nothing_new_some_are_measured(
    plugin: Measuring, tracer: Tracer
) -> None:
    first = 1 + measuring.ENOUGH_OF_A_FILE
    measured = [run(plugin, tracer, f"test_x.py::test{number}", 1) for number in range(first + 40)]

    assert measured[:first] == [True] * first
    assert measured[first:].count(True) == 40 // measuring.ONE_OF
    assert run(plugin, tracer, "test_y.py::test", 1, "test_y.py")


def test_a_file_that_reaches_a_new_line_again_is_measured_again(
    plugin: Measuring, tracer: Tracer
) -> None:
    for number in range(20):
        run(plugin, tracer, f"test_x.py::test{number}", 1)
    while not run(plugin, tracer, "test_x.py::news", 2):
        pass

    assert run(plugin, tracer, "test_x.py::next", 1)


def test_variants_that_reach_new_lines_are_all_measured(plugin: Measuring, tracer: Tracer) -> None:
    assert all(run(plugin, tracer, f"test_x.py::test[{line}]", line) for line in range(20))


def test_tests_that_repeat_themselves_are_not_measured(plugin: Measuring, tracer: Tracer) -> None:
    assert not run(plugin, tracer, "test_x.py::test", 1, "tests/fuzz/test_x.py")


def test_what_is_measured_is_on_again_at_the_end(plugin: Measuring, tracer: Tracer) -> None:
    loop = plugin.pytest_runtestloop()
    next(loop)
    run(plugin, tracer, "test_x.py::test", 1, "tests/fuzz/test_x.py")
    with pytest.raises(StopIteration):
        loop.send(None)

    assert tracer.on


@pytest.fixture(params=["here", "there"])
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("value", [1, 2])
def test_variants_of_a_fixture_are_told_apart(
    value: int, side: str, request: pytest.FixtureRequest
) -> None:
    del value
    index = ["here", "there"].index(side)

    assert measuring.name_variants(request.node).endswith(
        f"::test_variants_of_a_fixture_are_told_apart {{'side': {index}}}"
    )
