"""Nothing in the tests may wait for ever: a test that hangs ends a run without saying which."""

import ast
from collections.abc import Iterator

import pytest

from tests.support.sides import REPOSITORY

SOURCES = [
    path
    for path in sorted(REPOSITORY.glob("tests/**/*.py"))
    if "vectors" not in path.parts and path.name != "fork_server.py"  # faults.py limits that
]


def find_unlimited(source: str) -> Iterator[str]:
    """Yield the calls that wait for a process or a thread without a limit."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            words = {keyword.arg for keyword in node.keywords}
            bare = not node.args and not words
            match ast.unparse(node.func.value), node.func.attr:
                case "subprocess", "run" | "call" | "check_call" | "check_output":
                    unlimited = words.isdisjoint({"timeout", None})
                case "threading", "Thread":  # the interpreter's end waits for it
                    unlimited = "daemon" not in words
                case _, "communicate":
                    unlimited = "timeout" not in words
                case _, "wait" | "join":
                    unlimited = bare
                case _:
                    unlimited = False
            if unlimited:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_processes_and_threads_are_waited_for_with_a_limit() -> None:
    unlimited = {
        str(path.relative_to(REPOSITORY)): calls
        for path in SOURCES
        if (calls := [*find_unlimited(path.read_text())])
    }
    assert unlimited == {}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("subprocess.run(['true'], check=True)", 1),
        ("subprocess.run(['true'], check=True, timeout=1)", 0),
        ("subprocess.run(['true'], **words)", 0),
        ("threading.Thread(target=run)", 1),
        ("threading.Thread(target=run, daemon=True)", 0),
        ("process.communicate(b'x')", 1),
        ("process.wait()\nthread.join()", 2),
        ("process.wait(60)\nthread.join(60)\n', '.join(words)", 0),
    ],
)
def test_a_call_without_a_limit_is_found(source: str, count: int) -> None:
    assert len([*find_unlimited(source)]) == count
