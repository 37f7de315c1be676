"""The fields of bento.yaml and model.yaml, and what BentoML 1.4 takes in each.

BentoML structures every description of a store for `bentoml list`; one that it refuses ends the
whole list. The two tables at the end are as strict as BentoML or stricter. What they take, BentoML
1.4.40 lists: tests/integration/importing/test_bentoml_oracle.py compares the two.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import yaml

from airgap.format import names
from airgap.printable import cut_text, quote
from airgap.store.yaml_tree import Node, Scalar, string

__all__ = ["BENTO_FIELDS", "MODEL_FIELDS", "Rule", "parse_time"]

Rule: TypeAlias = Callable[[Node], str]
"""Says what is wrong with a value, beginning with its place, as in ``.models[0].tag is missing``;
empty if nothing is."""

_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.(\d{3}|\d{6}))?)?([+-]\d\d:\d\d(:\d\d(\.\d{6})?)?)?"
)
_MARGIN: Final = timedelta(days=2)
_PYTHON_VERSION: Final = re.compile(r"\d\.\d{0,2}(\.\w+)?")
_BENTOML_TAG_PART: Final = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_BENTOML_TAG_CHARACTERS: Final = 63
_DISTROS: Final = frozenset({"amazonlinux", "ubi8", "debian", "alpine"})
_CUDA_DISTROS: Final = frozenset({"ubi8", "debian"})
_CUDA_VERSIONS: Final = frozenset(
    {
        *("12.8.1", "12.8.0", "12.6.3", "12.6.2", "12.6.1", "12.6.0", "12.1.1", "12.1.0"),
        *("12.0.1", "12.0.0", "11.8.0", "11.7.1", "11.6.2", "11.4.3", "11.2.2"),
        *("12", "12.8", "12.6", "12.1", "12.0", "11", "11.8", "11.7", "11.6", "11.4", "11.2"),
    }
)


def parse_time(node: Node) -> datetime:
    """Read a time as BentoML does: text of ``datetime.isoformat``, or a timestamp of YAML.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(node, Scalar):
        if node.type == "str" and _ISO.fullmatch(node.text):
            return datetime.fromisoformat(node.text)
        if node.type == "timestamp":
            value = yaml.constructor.SafeConstructor().construct_object(
                yaml.ScalarNode(f"tag:yaml.org,2002:{node.type}", node.text)
            )
            if isinstance(value, datetime):  # a date alone is refused by BentoML
                return value
    raise ValueError("is not a time")


def _any(node: Node) -> str:  # noqa: ARG001  (a rule)
    return ""


def _text(node: Node) -> str:
    """Take every scalar: BentoML makes a string of it."""
    return "" if isinstance(node, Scalar) else " is not a text"


def _string(node: Node) -> str:
    """Take a string of YAML only: BentoML converts nothing else here."""
    return "" if isinstance(node, Scalar) and node.type == "str" else " is not a string"


def _integer(node: Node) -> str:
    return "" if isinstance(node, Scalar) and node.type == "int" else " is not an integer"


def _boolean(node: Node) -> str:
    return "" if isinstance(node, Scalar) and node.type == "bool" else " is not true or false"


def _list(node: Node) -> str:
    return "" if isinstance(node, list) else " is not a list"


def _map(node: Node) -> str:
    return "" if isinstance(node, dict) else " is not a map"


def _time(node: Node) -> str:
    try:
        parse_time(node)
    except ValueError as error:
        return f" {error}"
    return ""


def _lasting_time(node: Node) -> str:
    """Take a time that exists in every time zone: BentoML shows it in that of the machine."""
    try:
        time = parse_time(node)
    except ValueError as error:
        return f" {error}"
    away = time.utcoffset() or timedelta()
    plain = time.replace(tzinfo=None)
    if datetime.min + _MARGIN + away <= plain <= datetime.max - _MARGIN + away:  # noqa: DTZ901
        return ""
    return " is too close to the year 1 or to the year 10000"


def _tag_part(node: Node) -> str:
    if not isinstance(node, Scalar) or node.type != "str":
        return " is not a string"
    return "" if names.is_tag_part(node.text) else " is not a name or version (format §2.4)"


def _module(node: Node) -> str:
    """Refuse brackets, which `bentoml models list` takes for markup and may end at."""
    if isinstance(node, Scalar) and "[" not in node.text and not names.has_invisible(node.text):
        return ""
    return " is not a Python module"


def _choice(values: frozenset[str]) -> Rule:
    def rule(node: Node) -> str:
        chosen = isinstance(node, Scalar) and node.type == "str" and node.text in values
        return "" if chosen else " is not a value that BentoML knows"

    return rule


def _pattern(pattern: re.Pattern[str]) -> Rule:
    def rule(node: Node) -> str:
        fits = isinstance(node, Scalar) and node.type == "str" and pattern.fullmatch(node.text)
        return "" if fits else " is not a value that BentoML takes"

    return rule


def _nullable(inner: Rule) -> Rule:
    def rule(node: Node) -> str:
        return "" if isinstance(node, Scalar) and node.type == "null" else inner(node)

    return rule


def _either(first: Rule, second: Rule) -> Rule:
    def rule(node: Node) -> str:
        return first(node) and second(node)

    return rule


def _list_of(inner: Rule) -> Rule:
    def rule(node: Node) -> str:
        if not isinstance(node, list):
            return " is not a list"
        problems = ((number, inner(value)) for number, value in enumerate(node))
        return next((f"[{number}]{problem}" for number, problem in problems if problem), "")

    return rule


def _map_of(inner: Rule) -> Rule:
    def rule(node: Node) -> str:
        if not isinstance(node, dict):
            return " is not a map"
        problems = ((key, inner(value)) for key, value in node.items())
        return next(
            (f".{cut_text(key.text, 60)}{problem}" for key, problem in problems if problem), ""
        )

    return rule


def _record(
    required: Mapping[str, Rule], optional: Mapping[str, Rule], *, closed: bool = False
) -> Rule:
    """Make the rule of a map with these fields. A closed one has no others."""
    rules = {string(name): rule for name, rule in {**required, **optional}.items()}

    def rule(node: Node) -> str:
        if not isinstance(node, dict):
            return " is not a map"
        for key, inner in rules.items():
            value = node.get(key)
            if value is None:
                if key.text in required:
                    return f".{key.text} is missing"
                continue
            problem = inner(value)
            if problem:
                return f".{key.text}{problem}"
        unknown = next((key for key in node if key not in rules), None) if closed else None
        return "" if unknown is None else f" has a field {quote(unknown.text)} that BentoML refuses"

    return rule


def _model_tag(node: Node) -> str:
    """Take a whole tag (format §2.4): BentoML writes no other."""
    if not isinstance(node, Scalar) or node.type != "str":
        return " is not a string"
    name, _, version = node.text.partition(":")
    whole = names.is_tag_part(name) and names.is_tag_part(version)
    return "" if whole else " is not a tag (format §2.4)"


def _models(node: Node) -> str:
    """Take tags alone, as BentoML 1.0 wrote them, or maps alone."""
    if isinstance(node, list) and node and isinstance(node[0], Scalar):
        return _list_of(_model_tag)(node)
    return _list_of(_MODEL)(node)


def _dependency(node: Node) -> str:
    return _string(node) and _record({}, _DEPENDENCY, closed=True)(node)


def _docker(node: Node) -> str:
    problem = _DOCKER(node)
    if problem or not isinstance(node, dict):
        return problem
    chosen = {
        key.text: value.text
        for key, value in node.items()
        if isinstance(value, Scalar) and value.type == "str"
    }
    has_cuda = chosen.get("distro", "debian") in _CUDA_DISTROS
    return "" if has_cuda or "cuda_version" not in chosen else ".distro has no CUDA"


def _runner(node: Node) -> str:
    """Take a runner of BentoML 1.0; before its first release, the type had another name."""
    known = "runner_type" if isinstance(node, dict) and string("runner_type") in node else ""
    return _record(
        {"name": _text, known or "runnable_type": _text},
        {
            "embedded": _text,
            "models": _list_of(_text),
            "resource_config": _nullable(_map),
        },
    )(node)


def _conda_dependencies(node: Node) -> str:
    """Take a list with at most one map, which is ``pip`` and its packages."""
    if not isinstance(node, list):
        return " is not a list"
    maps = [value for value in node if isinstance(value, dict)]
    if len(maps) > 1:
        return " has several maps"
    return next(filter(None, map(_record({"pip": _list_of(_string)}, {}), maps)), "")


def _metadata(node: Node) -> str:
    return _metadata_value(node) if isinstance(node, dict) else " is not a map"


def _metadata_value(node: Node) -> str:
    """Take what may be in a model's metadata: no null, and keys that are texts or numbers."""
    if isinstance(node, list):
        return _list_of(_metadata_value)(node)
    if isinstance(node, Scalar):
        return " is null" if node.type == "null" else ""
    key = next((key for key in node if key.type not in _METADATA_KEYS), None)
    return f" has the key {quote(key.text)}" if key else _map_of(_metadata_value)(node)


def _batch_dimensions(node: Node) -> str:
    return _list_of(_integer)(node) or ("" if len(node) == 2 else " is not a pair")  # noqa: PLR2004


def _context(node: Node) -> str:
    """Take a model's context; one with ``pip_dependencies`` (before 1.0) has no versions."""
    old = isinstance(node, dict) and string("pip_dependencies") in node
    versions = {"framework_versions": _any if old else _map_of(_text)}
    return _record(
        {"framework_name": _text, **({} if old else versions)},
        {**versions, "bentoml_version": _text, "python_version": _text},
    )(node)


_METADATA_KEYS: Final = frozenset({"str", "int", "float", "bool"})
_PACKAGES: Final = _nullable(_list)

_PATTERNS: Final = _nullable(_either(_string, _list_of(_string)))
_MODEL: Final = _record(
    {"tag": _model_tag},
    {
        "module": _nullable(_text),
        "creation_time": _time,
        "alias": _nullable(_text),
        "registry": _choice(frozenset({"bentoml", "huggingface"})),
        "metadata": _nullable(
            _record(
                {},
                {
                    "model_id": _string,
                    "revision": _string,
                    "include": _PATTERNS,
                    "exclude": _PATTERNS,
                },
            )
        ),
    },
)
_DEPENDENCY: Final = {
    name: _nullable(_text) for name in ("service", "deployment", "cluster", "url")
}
_DOCKER: Final = _record(
    {},
    {
        "distro": _nullable(_choice(_DISTROS)),
        "python_version": _nullable(_pattern(_PYTHON_VERSION)),
        "cuda_version": _nullable(_choice(_CUDA_VERSIONS)),
        "env": _nullable(_map_of(_text)),
        "system_packages": _nullable(_list_of(_text)),
        "setup_script": _nullable(_text),
        "base_image": _nullable(_text),
        "dockerfile_template": _nullable(_text),
    },
    closed=True,
)
_PYTHON: Final = _record(
    {},
    {
        "requirements_txt": _nullable(_string),
        "packages": _PACKAGES,
        "lock_packages": _any,
        "pack_git_packages": _any,
        "index_url": _nullable(_string),
        "no_index": _nullable(_boolean),
        "trusted_host": _nullable(_either(_string, _list)),
        "find_links": _nullable(_either(_string, _list)),
        "extra_index_url": _nullable(_either(_string, _list)),
        "pip_args": _nullable(_string),
        "wheels": _PACKAGES,
        "is_src_layout": _any,
    },
    closed=True,
)
_CONDA: Final = _record(
    {},
    {
        "environment_yml": _nullable(_text),
        "channels": _nullable(_list_of(_text)),
        "dependencies": _nullable(_conda_dependencies),
        "pip": _nullable(_list_of(_text)),
    },
    closed=True,
)

BENTO_FIELDS: Final = _record(
    {
        "name": _tag_part,
        "version": _tag_part,
        "creation_time": _lasting_time,
        "service": _text,
    },
    {
        "bentoml_version": _text,
        "labels": _map,
        "models": _models,
        "entry_service": _text,
        "services": _list_of(
            _record(
                {"name": _text, "service": _text},
                {
                    "models": _list_of(_MODEL),
                    "dependencies": _list_of(_dependency),
                    "config": _map,
                },
            )
        ),
        "envs": _list_of(
            _record(
                {"name": _text},
                {"value": _text, "stage": _choice(frozenset({"all", "build", "runtime"}))},
            )
        ),
        "schema": _map,
        "args": _map,
        "spec": _integer,
        "runners": _list_of(_runner),
        "apis": _list_of(_record({"name": _text, "input_type": _text, "output_type": _text}, {})),
        "docker": _docker,
        "python": _PYTHON,
        "conda": _CONDA,
        "image": _record(
            {},
            {
                "base_image": _text,
                "python_version": _text,
                "commands": _list_of(_text),
                "python_requirements": _text,
                "post_commands": _list_of(_text),
                "build_include": _list_of(_text),
            },
        ),
    },
)

MODEL_FIELDS: Final = _record(
    {
        "name": _tag_part,
        "version": _tag_part,
        "creation_time": _lasting_time,
        "module": _module,
        "api_version": _text,
        "labels": _map_of(_text),
        "options": _map,
        "metadata": _metadata,
        "context": _context,
    },
    {
        "signatures": _map_of(
            _record(
                {},
                {
                    "batchable": _any,
                    "batch_dim": _batch_dimensions,
                    "input_spec": _any,
                    "output_spec": _any,
                },
            )
        ),
    },
)
