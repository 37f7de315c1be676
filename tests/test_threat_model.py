"""docs/threat-model.md: promises name tests that exist, and no module of attacks is left out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.sides import REPOSITORY

TEXT = (REPOSITORY / "docs" / "threat-model.md").read_text()
ROWS = re.findall(r"^\| (?!promise|---)(.+) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
ATTACKS = sorted((REPOSITORY / "tests" / "attacks").glob("test_*.py"))


@cache
def _tests_in(path: Path) -> frozenset[str]:
    """Return what pytest collects from a file."""
    tree = ast.parse(path.read_text())
    found = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    return frozenset(name for name in found if name.startswith("test_"))


def test_there_are_promises() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize(("promise", "attack", "tests"), ROWS, ids=[row[1] for row in ROWS])
def test_the_tests_of_a_promise_are_there(promise: str, attack: str, tests: str) -> None:
    assert promise
    assert attack
    for one in tests.split("<br>"):
        path, _, name = one.strip("`").partition("::")
        assert Path(path).name.startswith("test_")
        assert name in _tests_in(REPOSITORY / path) or (not name and _tests_in(REPOSITORY / path))


@pytest.mark.parametrize("module", [path.name for path in ATTACKS])
def test_each_module_of_attacks_keeps_a_promise(module: str) -> None:
    assert any(f"tests/attacks/{module}::" in tests for _, _, tests in ROWS)
