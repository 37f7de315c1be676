"""Which tests are measured for coverage: that takes as long again as the tests themselves.

A test with many variants is measured until some in a row have reached no new line. So is a file of
tests, and of the rest one test in eight, until one reaches a new line. So what is reported is
the least that the tests cover. ``AIRGAP_TEST_COVERAGE=all`` measures all tests.
"""

import os
import re
from collections import Counter
from collections.abc import Generator
from typing import Final

import pytest
from coverage import Coverage

ENOUGH: Final = 6
"""So many variants of a test in a row reach no new line before the others are not measured."""

ENOUGH_OF_A_FILE: Final = 4
"""So many tests of a file in a row reach no new line before most of the others are not measured."""

ONE_OF: Final = 8
"""Of the others, one of so many is measured."""

REPEATING: Final = re.compile(
    r"/fuzz/|/test_crash_|/test_tampering|/test_mutations|/test_wycheproof|/attacks/test_coverage"
    r"|_oracle|/test_house|/test_limits|/test_threat_model"
)
"""Tests that run the same lines hundreds of times, or hardly any of the package."""


class Measuring:
    """A plugin of pytest that pauses coverage, which pytest-cov has started."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._on = True
        self._stopped: list[Coverage] = []  # a process of xdist is measured as a subprocess, too
        self._without_news = Counter[str]()
        self._turns = Counter[str]()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Measure what importing runs in one process only: it is the same in all."""
        self._switch(on=os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0")
        result = yield
        self._switch(on=True)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        name = name_variants(item)
        self._switch(on=self._is_worth_measuring(item, name))
        before = self._count_reached()
        result = yield
        if self._on:
            news = self._count_reached() > before
            for repeated in (name, str(item.path)):
                self._without_news[repeated] = 0 if news else self._without_news[repeated] + 1
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._switch(on=True)  # pytest-cov stops it

    def _is_worth_measuring(self, item: pytest.Item, name: str) -> bool:
        if item.get_closest_marker("no_cover"):
            return True  # pytest-cov pauses and resumes
        path = str(item.path)
        if REPEATING.search(path) or self._without_news[name] >= ENOUGH:
            return False
        self._turns[path] += 1
        return self._without_news[path] < ENOUGH_OF_A_FILE or self._turns[path] % ONE_OF == 0

    def _switch(self, *, on: bool) -> None:
        if on == self._on:
            return
        self._on = on
        if on:
            while self._stopped:
                self._stopped.pop().start()
        while not on and (running := Coverage.current()):  # stopping one resumes that below
            running.stop()
            self._stopped.append(running)

    def _count_reached(self) -> int:
        collector = self._coverage._collector
        return sum(map(len, list(collector.data.values()))) if collector and self._on else 0


def name_variants(item: pytest.Item) -> str:
    """Return what the variants of a test have in common that are told apart by values alone.

    A fixture with parameters is another server or another side, which reaches other lines.
    """
    name = item.nodeid.partition("[")[0]
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return name
    fixtures = item._fixtureinfo.name2fixturedefs
    of_fixtures = {
        parameter: index
        for parameter, index in item.callspec.indices.items()
        if parameter in fixtures and fixtures[parameter][-1].params
    }
    return f"{name} {of_fixtures}"


def find_coverage() -> Coverage | None:
    """Return what measures, unless nothing does or everything shall be measured."""
    return None if os.environ.get("AIRGAP_TEST_COVERAGE") == "all" else Coverage.current()
