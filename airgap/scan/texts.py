"""Texts: programs by their names, JSON with what it makes a framework run, and the rest."""

import codecs
import json
import re
from pathlib import PurePosixPath
from typing import Final

from airgap.scan.contents import PIECE, Content, Unreadable
from airgap.scan.templates import assess_template
from airgap.scan.verdicts import Assessment, inert, join, program, refused

__all__ = ["assess_text", "is_text"]

_JSON_BYTES: Final = 256 * 1024 * 1024
_SEARCHED: Final = 16 * 1024 * 1024
_PROGRAMS: Final = {
    **dict.fromkeys((".py", ".pyw", ".pyx", ".pxi", ".ipynb", ".pth"), "Python source"),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".bat", ".cmd", ".ps1"), "a shell script"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".ts", ".html", ".htm", ".svg", ".xhtml"), "a script"),
    **dict.fromkeys((".pl", ".rb", ".lua", ".r", ".jl", ".php", ".tcl"), "a script"),
    **dict.fromkeys((".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".go", ".java"), "source"),
}
"""What a text is by the end of its name: nothing in a text says that it is imported or run."""
_TEMPLATE_NAMES: Final = frozenset({".jinja", ".jinja2", ".j2"})
_TAG: Final = re.compile(rb"!!?python[/:]|!<tag:yaml\.org,2002:python")
_REMOTE: Final = "--"


def is_text(content: Content) -> bool:
    """Tell whether the whole content is UTF-8 without zeros."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for offset in range(0, content.size, PIECE):
            data = content.read(offset, PIECE)
            if b"\0" in data:
                return False
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def assess_text(name: str, content: Content) -> Assessment:
    """Assess a text by its name and by what is in it."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _PROGRAMS:
        kind = _PROGRAMS[suffix]
        return program(kind.removeprefix("a "), f"it is {kind}")
    if content.read(0, 2) == b"#!":
        return program("script", "its first line names a program that runs it")
    if suffix in _TEMPLATE_NAMES:
        return assess_template(content.read_whole(_SEARCHED).decode())
    if content.read(0, 4096).lstrip()[:1] in {b"{", b"["}:
        return _assess_json(content)
    if _TAG.search(content.read(0, _SEARCHED)):
        return refused("YAML", "it makes a reader of YAML build objects of Python")
    return inert("text")


def _assess_json(content: Content) -> Assessment:
    """Assess JSON: remote code, templates and layers with code in it, at any depth."""
    form = "JSON"
    try:
        value = json.loads(content.read_whole(_JSON_BYTES))
    except RecursionError:
        return refused(form, "it is nested too deeply")
    except ValueError:
        return inert("text")  # a text that begins like JSON
    return join(form, _assess_values(value, content))


def _assess_values(value: object, content: Content) -> list[Assessment]:
    assessments: list[Assessment] = []
    waiting = [value]
    while waiting:
        content.budget.spend_step()
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(item for item in value if isinstance(item, dict | list))
        elif isinstance(value, dict):
            assessments.extend(_assess_members(value))
            waiting.extend(item for item in value.values() if isinstance(item, dict | list))
    return assessments


def _assess_members(members: dict[str, object]) -> list[Assessment]:
    found = [_assess_map(value) for key, value in members.items() if key == "auto_map"]
    for key, value in members.items():
        if key == "chat_template":
            found += [assess_template(text).within(key) for text in _find_templates(value)]
        elif key == "custom_pipelines":
            found.append(program("JSON", "custom_pipelines names programs of the repository"))
    if "class_name" in members:
        found += assess_layer(members)
    return found


def _assess_map(value: object) -> Assessment:
    """Assess `auto_map`: names of classes in files of this repository, or of another one."""
    names = [name for name in _find_texts(value) if name]
    if any(_REMOTE in name for name in names):
        return refused("JSON", "auto_map names a program of another repository")
    return program("JSON", "auto_map names programs of the repository")


def _find_texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _find_texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _find_texts(item)]
    return [value] if isinstance(value, str) else []


def _find_templates(value: object) -> list[str]:
    """Return the templates of `chat_template`: a text, or a list of named ones."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise Unreadable("chat_template is neither a text nor a list of them")
    return [text for item in value if isinstance(item, dict) for text in _find_texts(item)]


_MODULES: Final = re.compile(r"(?:keras|tf_keras|tensorflow\.keras|builtins)(?:\.\w+)*|")


def assess_layer(layer: dict[str, object]) -> list[Assessment]:
    """Assess a layer of Keras, as its configuration describes it."""
    name = layer.get("class_name")
    if name in {"Lambda", "__lambda__", "function"}:
        return [refused("Keras", f"a layer is {name}, which has a program in it")]
    module = layer.get("module")
    if isinstance(module, str) and not _MODULES.fullmatch(module):
        return [refused("Keras", f"a layer is {module}.{name}, which is not a layer of Keras")]
    registered = layer.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return [refused("Keras", f"a layer is {registered}, which is not a layer of Keras")]
    return []
