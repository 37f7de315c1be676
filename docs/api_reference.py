"""Writes the reference of the Python API for ``python-api.md``, from signatures and docstrings."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, is_typeddict

WIDTH: Final = 100

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Export": ("export_bento", "export_model", "export_bundle", "plan_export", "ExportOptions"),
    "Import": ("import_bento", "import_model", "import_bundle", "ImportOptions"),
    "Verify and inspect": ("verify", "inspect", "diff"),
    "Depots and the local store": ("push", "pull", "list", "get", "delete"),
    "What is installed": ("list_items", "check", "log", "remove", "prune"),
    "Scans": ("scan_bundle", "scan_installed"),
    "Bills of materials and licences": ("bill_of_materials", "licenses"),
    "Evidence": ("attach", "collect_evidence", "audit"),
    "Time stamps": ("timestamp", "verify_as_of"),
    "Sealed bundles": ("seal", "unseal"),
    "Signatures": ("sign", "approve", "attest", "waive", "sign_waiver"),
    "Progress": ("ProgressCallback", "ProgressEvent"),
}
"""What each section of the reference has of ``airgap``."""
MODULES: Final = ("keys", "roots", "trust", "receipts", "archive", "cloud")


def write_functions() -> str:
    """Return the reference of ``airgap`` itself."""
    parts = []
    for title, names in SECTIONS.items():
        parts += [f"### {title}", *(write_object("airgap", name) for name in names)]
    return "\n\n".join(parts)


def write_module(name: str) -> str:
    """Return the reference of a module below ``airgap``."""
    home = f"airgap.{name}"
    public = importlib.import_module(home).__all__
    if name == "cloud":  # the client's parts are returned, and not made by callers
        home, public = "airgap.api.cloud", importlib.import_module("airgap.api.cloud").__all__
    return "\n\n".join(write_object(home, name) for name in public)


def write_results() -> str:
    """Return the reference of all result types."""
    module = importlib.import_module("airgap.results")
    return "\n\n".join(write_object("airgap.results", name) for name in module.__all__)


def write_object(home: str, name: str) -> str:
    """Return the entry of a function or a class."""
    value = getattr(importlib.import_module(home), name)
    path = f"{home}.{name}".replace("airgap.api.", "airgap.")
    heading = f"#### {path}"
    if inspect.isfunction(value):
        return "\n\n".join([heading, *_write_function(path, value)])
    if isinstance(value, type):
        return "\n\n".join([heading, *_write_class(value)])
    raise TypeError(f"{home}.{name} is neither a function nor a class")


def _write_function(path: str, function: Callable[..., Any]) -> Iterator[str]:
    yield f"```python\n{_write_signature(path, function)}\n```"
    yield from _write_docstring(inspect.getdoc(function) or "")


def _write_signature(path: str, function: Callable[..., Any]) -> str:
    """Return a call as the source has it, in one line or with a line for each parameter."""
    definition = _find_definition(function)
    annotations = {
        node.arg: _unquote(ast.unparse(node.annotation))
        for node in ast.walk(definition.args)
        if isinstance(node, ast.arg) and node.annotation
    }
    texts: list[str] = []
    has_star = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            texts.append("*")
        has_star = has_star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        texts.append(_write_parameter(parameter, annotations.get(parameter.name, "object")))
    result = _unquote(ast.unparse(definition.returns)) if definition.returns else "None"
    line = f"{path}({', '.join(texts)}) -> {result}"
    if len(line) <= WIDTH:
        return line
    return f"{path}(\n" + "".join(f"    {text},\n" for text in texts) + f") -> {result}"


def _write_parameter(parameter: inspect.Parameter, annotation: str) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}: {annotation}"
    if parameter.default is parameter.empty:
        return text
    default = repr(parameter.default).replace("mappingproxy({})", "{}")
    return f"{text} = {default}"


def _find_definition(function: Callable[..., Any]) -> ast.FunctionDef:
    """Return the source of a function, without the checks that surround it."""
    code = inspect.unwrap(function).__code__
    for node in ast.walk(_parse(Path(code.co_filename))):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    raise LookupError(f"{function} has no source")


def _write_docstring(docstring: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring in Google's style; its lists become lists."""
    body, _, rest = docstring.partition("\nArgs:\n")
    if not rest:
        body, _, raises = docstring.partition("\nRaises:\n")
        arguments = ""
    else:
        arguments, _, raises = rest.partition("\nRaises:\n")
    for paragraph in filter(None, map(str.strip, body.split("\n\n"))):
        yield _wrap(paragraph)
    if arguments.strip():
        yield _write_list(arguments)
    if raises.strip():
        yield f"Raises:\n\n{_write_list(raises)}"


def _write_list(text: str) -> str:
    entries = re.split(r"\n(?=\S)", textwrap.dedent(text).strip())
    lines = []
    for entry in entries:
        names, _, meaning = entry.partition(": ")
        quoted = ", ".join(f"`{name}`" for name in names.split(", "))
        lines.append(_wrap(f"{quoted}: {meaning}", "- "))
    return "\n".join(lines)


def _write_class(cls: type) -> Iterator[str]:
    yield from _write_docstring(_find_text(cls))
    fields = list(_list_fields(cls))
    if fields:
        yield "\n".join(["| field | type | |", "| --- | --- | --- |", *fields])
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_") and not is_typeddict(cls):
            yield f"```python\n{_write_signature(f'{cls.__name__}.{name}', member)}\n```"
            yield from _write_docstring(inspect.getdoc(member) or "")


def _list_fields(cls: type) -> Iterator[str]:
    """Yield a row for each field that a class and its parents declare."""
    for parent in _list_bases(cls):
        yield f"| | | all fields of `{parent}` |"
    for name, hint, text in _read_fields(cls):
        kind = _unquote(hint).replace("|", "\\|")
        optional = ", optional" if hint.startswith("NotRequired[") else ""
        yield f"| `{name}` | `{kind}`{optional} | {_plain(text)} |"


def _unquote(hint: str) -> str:
    """Write an annotation of the source without what only mypy needs."""
    bare = hint.strip("'").replace('"', "").replace("results.", "").replace("builtins.", "")
    bare = re.sub(r"NotRequired\[(.*)\]$", r"\1", bare)
    return re.sub(r"Unpack\[(.*)\]$", r"\1", bare)


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _list_bases(cls: type) -> list[str]:
    """Return the result types whose fields a result type has, too."""
    node = _find_class(cls)
    names = [ast.unparse(base) for base in node.bases] if node else []
    return [name for name in names if name.endswith("Dict") and name != "TypedDict"]


def _find_text(cls: type) -> str:
    """Return the docstring of a class, or the text below it if a call makes it."""
    if _find_class(cls):
        return inspect.getdoc(cls) or ""
    body = _parse(_find_file(cls)).body
    for node, after in zip_longest(body, body[1:]):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == cls.__name__:
            return inspect.cleandoc(ast.literal_eval(after.value))
    raise LookupError(f"{cls} has no source")


def _find_file(cls: type) -> Path:
    return Path(importlib.import_module(cls.__module__).__file__ or "")


def _find_class(cls: type) -> ast.ClassDef | None:
    for node in _parse(_find_file(cls)).body:
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return node
    return None  # made by a call


def _read_fields(cls: type) -> Iterator[tuple[str, str, str]]:
    """Yield the fields in a class's own source, with the texts below them."""
    node = _find_class(cls)
    body = node.body if node else []
    for field, after in zip_longest(body, body[1:]):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if field.target.id.startswith("_") or "ClassVar" in ast.unparse(field.annotation):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = inspect.cleandoc(str(after.value.value))
        yield field.target.id, ast.unparse(field.annotation), text


def _plain(text: str) -> str:
    return re.sub(r"``([^`]*)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def _wrap(text: str, bullet: str = "") -> str:
    joined = re.sub(r"``([^`]*)``", r"`\1`", " ".join(text.split()))
    return textwrap.fill(
        joined,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
