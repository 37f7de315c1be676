"""Paths in environment variables, which may refer to themselves."""

import os
import random
import time
import tracemalloc

import pytest

from airgap.disk.expansion import expand
from airgap.errors import ConfigurationError

PARTS = ["$", "{", "}", "A", "B", "$A", "$B", "${A}", "${C D}", "${", "/", "é", "\udc80", "\n", ""]


def test_a_text_is_expanded_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A": "1", "B": "", "C D": "x/$A"}.items():
        monkeypatch.setenv(name, value)
    choices = random.Random(1)  # noqa: S311  (the same texts each time)

    for _ in range(2000):
        text = expected = "".join(choices.choices(PARTS, k=choices.randrange(8)))
        while (expanded := os.path.expandvars(expected)) != expected:
            expected = expanded
        assert expand(text, "V") == expected


@pytest.mark.parametrize("text", ["$V" * 400, "x" * 20_000])
def test_a_text_that_gets_longer_than_a_path_is_refused_before_it_is_large(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("V", text)

    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError, match="V refers to itself, or is longer than"):
            expand(text, "V")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 200_000


def test_open_braces_cost_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V", text := "$V" + "${" * 160)

    begun = time.process_time()
    with pytest.raises(ConfigurationError):
        expand(text, "V")

    assert time.process_time() - begun < 2  # quadratic: 15
