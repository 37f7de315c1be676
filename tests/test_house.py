"""The house keeps its plan: old names and old phrases do not come back (docs/architecture.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.sides import REPOSITORY

PACKAGE = REPOSITORY / "airgap"
SOURCES = [
    path
    for folder in (PACKAGE, REPOSITORY / "tests")
    for path in sorted(folder.rglob("*.py"))
    if "demo/project" not in str(path)
]
TEXTS = [path for path in SOURCES if path.is_relative_to(PACKAGE)]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What was renamed, by what it was called. Classes are compared without a leading underscore.
OLD_MODULES = _words(
    """
    elsewhere access hiding judge memory supplies shelves needs comparison inbound outbound
    cleaning deleting pinning arrivals waiting copies seen manifests journal uploads places
    examination attendant house counting edwards lanes zygote attend wholeness people
    keepers stage discs second gateway
    """
)
OLD_CLASSES = _words(
    """
    Elsewhere Access Judge Health Supplies Shelf Needs LackingError Rules Cleaned Doomed
    Arrivals Situation Copies Place Journal Desk Trouble Whole Attendant Keeper Sighting
    House Thing Meter Gate Lanes Lane Patience Rate BrokenOffError PackMemory Inlet Manner
    Filling Cut
    """
)
OLD_FUNCTIONS = _words(
    """
    is_elsewhere hidden keep_secret here begin_anew land explained doubted numbered listed
    mended taken built alone nowhere chosen given said told there known taken_up
    """
)
OLD_PARAMETERS = _words(
    """
    place places elsewhere access judge judged supplies shelf shelves needs health desk
    meter gate house thing sighting keeper attendant lane lanes patience manner passed_over
    """
)
# A parameter is named for the thing; in tests, a short function may say it with a pronoun.
PRONOUNS = _words(
    """
    one found said about there known told
    """
)
OLD_PHRASES = re.compile(
    r"(?<!here )\bis no (?!longer)|\bMend it\b|\b[Ww]hoever\b|\b[Ee]lsewhere\b"
    r"|\bis told\b|\bin spite of\b|\breads as\b"
)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    given = function.args
    for parameter in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
        yield parameter.arg


def _old_names(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    if path.stem in OLD_MODULES:
        yield f"module {path.stem}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.lstrip("_") in OLD_CLASSES:
            yield f"class {node.name}"
    in_package = path.is_relative_to(PACKAGE)
    parameters = OLD_PARAMETERS | (PRONOUNS if in_package else frozenset())
    for function in _functions(tree):
        if in_package and function.name.lstrip("_") in OLD_FUNCTIONS:
            yield f"function {function.name}"
        for parameter in _parameters(function):
            if parameter in parameters:
                yield f"parameter {parameter} of {function.name}"


def test_nothing_has_its_old_name() -> None:
    names = {str(path.relative_to(REPOSITORY)): list(_old_names(path)) for path in SOURCES}
    assert {path: found for path, found in names.items() if found} == {}


def test_no_text_speaks_the_old_dialect() -> None:
    texts = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}: {node.value}"
        for path in TEXTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and OLD_PHRASES.search(node.value)
    ]
    assert texts == []


def test_what_is_cut_in_a_message_says_so() -> None:
    """A name that is cut by a format alone looks like another, shorter name."""
    cut = re.compile(r"!r:\.\d")

    assert [path.name for path in TEXTS if cut.search(path.read_text())] == []


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in TEXTS:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(REPOSITORY)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_a_kind_of_item_is_named_where_it_is_defined() -> None:
    assert len([path for path in TEXTS if '"hugging-face"' in path.read_text()]) <= 3


def test_use_cases_do_not_ask_what_carries_a_bundle() -> None:
    asked = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in (PACKAGE / "flow").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"isinstance\([^)]*(Reader|Writer)\b", line)
    ]
    assert asked == []


def test_an_import_is_assembled_in_one_place() -> None:
    callers = {
        str(path.relative_to(PACKAGE))
        for path in TEXTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("install_bundle")
    }
    assert callers == {"flow/importing/use_case.py"}
