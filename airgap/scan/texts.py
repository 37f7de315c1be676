"""Texts: JSON with what it makes a framework run, YAML with its tags, and the rest."""

import codecs
import json
import re
from pathlib import PurePosixPath
from typing import Final

from airgap.scan.contents import PIECE, Content
from airgap.scan.file_names import is_plain_name, is_template_name
from airgap.scan.json_walk import CONTAINER, NotJson, walk_json
from airgap.scan.keras_classes import KERAS_CLASSES
from airgap.scan.pickle_values import demand
from airgap.scan.verdicts import Judgment, Unreadable, code, inert, refused

__all__ = ["is_text", "judge_text"]

_LIST_BYTES: Final = 256 * 1024
_YAML_BYTES: Final = 1024 * 1024
_TEXT_BYTES: Final = 256 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_SPACE: Final = b" \t\r\n\x0c\x0b"
_YAML_TAG: Final = re.compile(rb"(?<![A-Za-z0-9_])!(?=[A-Za-z0-9!<%_-])|^%|%TAG", re.MULTILINE)
_BREAK: Final = rb"(?:[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9])"
_YAML_ESCAPE: Final = re.compile(
    rb"\\(?:(?P<fold>(?:\r\n|" + _BREAK + rb")[ \t]*+)"
    rb"|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|[^xuU]|(?P<odd>))"
)
"""A backslash and what it stands before: a line that goes on, a character's number, a character."""
_BACKSLASH: Final = re.compile(rb"\\")
_YAML_KEY: Final = re.compile(
    rb"(?:\A|" + _BREAK + rb")(?:\xef\xbb\xbf)?[ \t]*+(?:[-:]++[ \t]++)*+\?(?=\s|\xc2|\xe2|\Z)"
    rb"|[\[{,]\s*\?(?=\s|\Z)"
)
"""A key that is marked by a question mark, and may go on over lines."""
_YAML_CALL: Final = re.compile(
    rb"_target_|class_path|auto_map|custom_pipelines|chat_template|loader_module|trust_remote_code"
)
_OTHER_MODULE: Final = re.compile(
    rb"module[\"']?\s*:"
    rb"(?![ \t]*(?:''|\"\"|bentoml(?:\.[\w.]+)?)?[ \t]*(?:\r?\n(?=[A-Za-z_])|\s*\Z))"
    rb"|<<|" + _BREAK + rb"[ \t]*\*|\A[^A-Za-z_]"
)
"""In model.yaml: a module that is not of BentoML, on its line or the next; a merged key or an alias
for one, and a file that does not begin with a key."""
_PYTHON_TAG: Final = re.compile(
    rb"![^\s!]{0,200}(?:p|%70)(?:y|%79)(?:t|%74)(?:h|%68)(?:o|%6[fF])(?:n|%6[eE])"
    rb"(?:[/:]|%2[fF]|%3[aA])|!<|%TAG"
)
_LISTS_OF_CLASSES: Final = frozenset(
    {"modules.json", "model_index.json", "modular_model_index.json"}
)
_LIBRARIES: Final = frozenset({"diffusers", "transformers", "None"})
_OVERLAP: Final = 4096
_CODE_KEYS: Final = {
    "auto_map": "names programs of the repository",
    "auto_mapping": "names a module that is loaded",
    "custom_pipelines": "names programs of the repository",
    "expr_str": "is an expression that torch evaluates",
    "graph_module": "is a program of torch",
    "chat_template": "is a program for chats",
    "chat_templates": "is a program for chats",
    "_target_": "names what is called",
    "trust_remote_code": "lets programs of the repository run",
    "custom_ops_library": "names a library that is loaded",
}
_ACTIVATIONS: Final = frozenset(
    {"activation_fn", "activation_function", "sbert_ce_default_activation_function"}
)
_ACTIVATION: Final = re.compile(r"[^.]*|torch\.nn\.(?:modules\.[a-z]+\.)?[A-Z]\w*")
"""A name that is looked up in a table, or a layer of torch: others are imported and called."""
_SENTENCE_CLASS: Final = re.compile(r"sentence_transformers\.(?:[a-z_]+\.)*[A-Z]\w*")
_KERAS_VALUES: Final = frozenset(
    {
        *("__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"),
        "__tuple__",
    }
)
"""What Keras makes of numbers and texts alone; not here: `__lambda__` and `__typespec__`."""
_REFUSED_KEYS: Final = frozenset({"py/object", "py/reduce", "py/function", "py/type", "py/repr"})


def is_text(content: Content) -> bool:
    """Tell whether the whole content is UTF-8 without characters that control a terminal."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for offset in range(0, content.size, PIECE):
            data = content.read(offset, PIECE)
            if _CONTROL.search(data):
                return False
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def judge_text(name: str, content: Content) -> Judgment:
    """Judge a text by its name and by what is in it."""
    demand(content.size <= _TEXT_BYTES, f"it has {content.size:,} bytes")
    if content.read(0, 2) == b"#!":
        return code("script", "its first line names a program that runs it")
    if is_template_name(name):
        return code("template", "it is a template, which is a program")
    judgment = _judge_data(name, content)
    if judgment.verdict == "inert" and not is_plain_name(name):
        return code("text", "its name does not say what reads it: it may be a program")
    return judgment


def _judge_data(name: str, content: Content) -> Judgment:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".jsonl":
        return _judge_json(name, content, is_lines=True) or refused("JSON", "a line is not JSON")
    if suffix == ".json" or _begins_as_json(content):
        judgment = _judge_json(name, content)
        if judgment is not None:
            return judgment
        if suffix == ".json":
            return refused("JSON", "it is not JSON")
    if suffix in {".yaml", ".yml"}:
        return _judge_yaml(name, content)
    if _find(content, _PYTHON_TAG):
        return refused("YAML", "a tag makes a reader of YAML build an object")
    return inert("text")


def _judge_yaml(name: str, content: Content) -> Judgment:
    """Judge YAML by its words: tags, escapes, and keys that make a program call what they name."""
    if _find(content, _YAML_TAG):
        return refused("YAML", "a tag makes a reader of YAML build an object")
    if _find(content, _YAML_KEY):
        return refused("YAML", "a key is marked by a question mark")
    joined = _join_lines(name, content)
    if _find(content, _YAML_CALL):
        return code("YAML", "a key names what is called, or is a program for chats")
    if _YAML_CALL.search(joined):
        return refused("YAML", "a key goes on over lines")
    if _is_model(name) and _OTHER_MODULE.search(content.read_whole(_YAML_BYTES)):
        return code("YAML", "it loads a module that is not of BentoML")
    return inert("text")


def _is_model(name: str) -> bool:
    return PurePosixPath(name).name.lower() == "model.yaml"


def _join_lines(name: str, content: Content) -> bytes:
    r"""Return the text with its broken lines joined, empty if it has none; raises Unreadable.

    Only in it can a key be seen that is broken in two, as in ``"auto_\\`` and ``map"``.
    """
    if not _find(content, _BACKSLASH):
        return b""
    demand(content.size <= _YAML_BYTES, f"it has backslashes and {content.size:,} bytes")
    return _YAML_ESCAPE.sub(
        lambda escape: _replace_escape(name, escape), content.read_whole(_YAML_BYTES)
    )


def _replace_escape(name: str, escape: re.Match[bytes]) -> bytes:
    digits = escape["x"] or escape["u"] or escape["U"]
    if escape["odd"] is not None:
        raise Unreadable("a backslash has nothing to stand for")
    if digits and " " <= chr(min(int(digits, 16), 0x10FFFF)) <= "~":
        raise Unreadable("a text has characters that are escaped by their number")
    if _is_model(name) and (digits or escape["fold"] is not None):
        raise Unreadable("a text of the model's description is escaped or goes on over lines")
    return escape[0] if escape["fold"] is None else b""


def _find(content: Content, pattern: re.Pattern[bytes]) -> bool:
    """Tell whether a pattern is anywhere in a text."""
    rest = b""
    for offset in range(0, content.size, PIECE):
        data = rest + content.read(offset, PIECE)
        if pattern.search(data):
            return True
        rest = data[-_OVERLAP:]
    return False


def _begins_as_json(content: Content) -> bool:
    """Tell whether the first character that is not a space opens an object or an array."""
    for offset in range(0, content.size, PIECE):
        start = (
            content.read(offset, PIECE).removeprefix(_BOM if offset == 0 else b"").lstrip(_SPACE)
        )
        if start:
            return start[:1] in {b"{", b"["}
    return False


def _judge_json(name: str, content: Content, *, is_lines: bool = False) -> Judgment | None:
    """Judge JSON: remote code, templates and layers, at any depth; None: it is not JSON."""
    reasons: dict[str, None] = {}

    def see(key: str, value: object) -> bool:
        reasons.update(_find_code(key, value))
        return key == "auto_map"

    try:
        walk_json(content, see, _check_text, _check_layer, is_lines=is_lines)
        reasons.update(_find_classes(name, content))
    except NotJson:
        return None
    return Judgment("code", "JSON", tuple(reasons)) if reasons else inert("JSON")


def _check_text(text: str) -> None:
    if "--" in text:
        raise Unreadable("auto_map names a program of another repository")


class _Object(list[tuple[str, object]]):
    """An object of JSON with all its members, also those of one name."""


def _find_classes(name: str, content: Content) -> dict[str, None]:
    """Find classes of other libraries in the lists from which pipelines are put together."""
    last = PurePosixPath(name).name.lower()
    if last not in _LISTS_OF_CLASSES:
        return {}
    reasons: dict[str, None] = {}
    data = content.read_whole(_LIST_BYTES).removeprefix(_BOM)
    value = json.loads(data.decode(), object_pairs_hook=_Object)
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, _Object):
            reasons |= _find_classes_of(last, value)
            waiting.extend(item for _, item in value if isinstance(item, list))
        elif isinstance(value, list):
            waiting.extend(item for item in value if isinstance(item, list))
    return reasons


def _find_classes_of(name: str, members: _Object) -> dict[str, None]:
    reasons: dict[str, None] = {}
    for key, value in members:
        if name == "modules.json" and key == "type" and isinstance(value, str):
            if not _SENTENCE_CLASS.fullmatch(value):
                reasons[f"it loads the class {value[:80]!r}"] = None
        elif name != "modules.json" and isinstance(value, list) and value:
            library = str(value[0])
            if library not in _LIBRARIES:
                reasons[f"it loads a class of {library[:80]!r}"] = None
    return reasons


def _find_code(key: str, value: object) -> dict[str, None]:
    """Return why a key makes JSON code, if it does; raises Unreadable."""
    if key in _REFUSED_KEYS:
        raise Unreadable(f"{key} makes a reader build an object of Python")
    if key == "auto_map" and isinstance(value, str):
        _check_text(value)
    if key.startswith("chat_template") and isinstance(value, bool | int):
        raise Unreadable("chat_template is neither a text nor a list of them")
    why = _name_program(key, value) if isinstance(value, str) else ""
    is_there = value is CONTAINER or value not in (None, False, "", [])
    if is_there and key in _CODE_KEYS:
        why = _CODE_KEYS[key]
    return {f"{key} {why}": None} if why else {}


def _name_program(key: str, value: str) -> str:
    """Say which program a value names for a key whose values usually name none; empty: none."""
    if key in _ACTIVATIONS and not _ACTIVATION.fullmatch(value):
        return "names what is imported and called"
    if key in {"attn_implementation", "_attn_implementation"} and "/" in value:
        return "names a program of another repository"
    if key == "megatron_core" and value != "megatron.core":
        return "names a module that is loaded"
    return ""


def _check_layer(pairs: list[tuple[str, object]]) -> None:
    """Check what a description names of Keras; raises Unreadable unless it is listed."""
    members = dict(pairs)
    name = members.get("class_name")
    if "class_name" not in members or members.keys() & {"module", "config"} == set():
        return
    demand(len(members) == len(pairs), "a layer has a key twice")
    module = members.get("module")
    registered = members.get("registered_name")
    if name in _KERAS_VALUES and module is None:
        return
    if not isinstance(name, str) or not isinstance(module, str):
        raise Unreadable(f"a layer {str(name)[:80]!r} has no module")
    demand((module, name) in KERAS_CLASSES, f"a layer is {module[:80]}.{name[:80]}")
    demand(registered in {None, name, "Functional"}, f"a layer is registered as {registered!r}")
