"""Compares airgap's functions with those of the BentoML that is installed, parameter by parameter.

Importing BentoML takes a second and warns: a process of its own does it.
"""

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import bentoml
import bentoml.bentos
import bentoml.models
from bentoml._internal.cloud.bento import BentoAPI
from bentoml._internal.cloud.model import ModelAPI

import airgap
from airgap.api import cloud

__all__ = ["print_differences"]

_TOP = ("export_bento", "import_bento", "push", "pull", "list", "get", "delete")
_MODELS = ("export_model", "import_model", "push", "pull", "list", "get", "delete")
_CLOUD = ("push", "pull", "list", "get")
_PLACES: tuple[tuple[str, object, object, tuple[str, ...]], ...] = (
    ("bentoml", airgap, bentoml, _TOP),
    ("bentoml.bentos", airgap.bentos, bentoml.bentos, _TOP),
    ("bentoml.models", airgap.models, bentoml.models, _MODELS),
    ("client.bento", cloud.BentoAPI, BentoAPI, _CLOUD),
    ("client.model", cloud.ModelAPI, ModelAPI, _CLOUD),
)


def print_differences() -> None:
    """Print a list of texts: what a caller of BentoML's functions would notice."""
    differences = [
        f"{place}.{name}: {difference}"
        for place, ours, theirs, names in _PLACES
        for name in names
        for difference in _compare(getattr(ours, name), getattr(theirs, name))
    ]
    sys.stdout.write(json.dumps(differences))


def _compare(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Iterator[str]:
    own, other = inspect.signature(ours), inspect.signature(theirs)
    for name, parameter in other.parameters.items():
        yield from _compare_one(own.parameters.get(name), parameter)
    positional = [
        [name for name in other.parameters if name in own.parameters and _is_positional(own, name)],
        [name for name in own.parameters if _is_positional(own, name)],
    ]
    if positional[1][: len(positional[0])] != positional[0]:
        yield f"another order: {', '.join(positional[1])}"
    for name in own.parameters.keys() - other.parameters.keys():
        if own.parameters[name].default is inspect.Parameter.empty:
            yield f"{name} is required"
    returned = [_normalize(signature.return_annotation) for signature in (own, other)]
    if returned[0] != returned[1]:
        yield f"returns {returned[0]} instead of {returned[1]}"


def _compare_one(own: inspect.Parameter | None, other: inspect.Parameter) -> Iterator[str]:
    if own is None:
        yield f"no {other.name}"
        return
    if own.kind is not other.kind:
        yield f"{own.name} is {own.kind.description}"
    if own.default != other.default:
        yield f"{own.name}={own.default} instead of {_describe(other.default)}"


def _is_positional(signature: inspect.Signature, name: str) -> bool:
    return signature.parameters[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def _describe(default: object) -> str:
    return "BentoML's own" if "simple_di" in str(type(default)) else str(default)


def _normalize(annotation: object) -> str:
    """Write a return type as both write it."""
    if annotation is inspect.Signature.empty:
        return "nothing"
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    for old, new in (("t.List", "list"), ("builtins.", ""), ("'", ""), ('"', "")):
        text = text.replace(old, new)
    return text.removeprefix("airgap.api.")
