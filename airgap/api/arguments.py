"""Checks the arguments of the Python API against its annotations.

A text where a list of texts belongs would be taken letter by letter, and ``force="no"`` for true.
"""

import inspect
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Union, get_args, get_origin, runtime_checkable

from airgap.errors import UsageError

__all__ = ["StrPath", "TagLike", "as_paths", "check_arguments"]

StrPath = str | os.PathLike[str]
"""A path, or a location as text: a URL, ``@REMOTE``, ``DEPOT#ID``."""


@runtime_checkable
class TagLike(Protocol):
    """BentoML's ``Tag``, or another object with a name and a version, whose text is a tag."""

    @property
    def name(self) -> str:
        """The name of the Bento or model."""
        ...

    @property
    def version(self) -> str | None:
        """The version; None: the newest."""
        ...


_NAMES: Final = {os.PathLike: "os.PathLike", TagLike: "bentoml.Tag", type(None): "None"}
_TEXTS: Final = (str, bytes, os.PathLike)
_UNIONS: Final = (types.UnionType, Union)

_RANGES: Final = {
    "expires_at": (0, 2**53 - 1),
    "jobs": (1, 64),
    "keep": (1, 2**53 - 1),
    "limit": (1, 2**53 - 1),
    "minimum": (0, 2**53 - 1),
    "not_after": (0, 2**53 - 1),
    "parity": (0, 100),
    "sequence": (0, 2**53 - 1),
    "since": (0, 2**53 - 1),
    "threads": (1, 64),
    "volume_size": (1, 2**53 - 1),
}
"""The lowest and the highest number that an argument of this name may be."""


def as_paths(paths: Iterable[StrPath]) -> list[Path]:
    """Return the arguments as paths."""
    return [Path(path) for path in paths]


def check_arguments(name: str, bound: inspect.BoundArguments) -> None:
    """Compare the arguments of a call with the annotations of its parameters.

    Raises:
        TypeError: one has the wrong type.
        UsageError: one has none of the values that are allowed.
    """
    for argument, value in bound.arguments.items():
        parameter = bound.signature.parameters[argument]
        hint = parameter.annotation
        if parameter.kind is parameter.VAR_KEYWORD:
            (options,) = get_args(hint)
            for option, given in value.items():
                if option not in options.__annotations__:
                    raise TypeError(f"{name}() got an unexpected keyword argument {option!r}")
                _check(name, option, given, options.__annotations__[option])
        elif parameter.kind is parameter.VAR_POSITIONAL:
            for given in value:
                _check(name, argument, given, hint)
        else:
            _check(name, argument, value, hint)


def _check(name: str, argument: str, value: object, hint: Any) -> None:  # noqa: ANN401
    if hint is inspect.Parameter.empty or matches(value, hint):
        low, high = _RANGES.get(argument, (0, 0))
        if argument in _RANGES and isinstance(value, int) and not low <= value <= high:
            raise UsageError(f"{argument} is {value}.", f"Give a number from {low} to {high}.")
        return
    if get_origin(hint) is Literal and isinstance(value, str):
        allowed = ", ".join(map(str, get_args(hint)))
        raise UsageError(f"{argument} is {value!r}.", f"Choose one of {allowed}.")
    raise TypeError(
        f"{name}(): {argument} must be {describe_hint(hint)}, not {type(value).__name__}"
    )


def matches(value: object, hint: Any) -> bool:  # noqa: ANN401  (an annotation)
    """Tell whether a value has the type of an annotation, as far as this module knows it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return any(matches(value, choice) for choice in arguments)
    if origin is Literal:
        return value in arguments
    if origin is Sequence:
        if not isinstance(value, Sequence) or isinstance(value, _TEXTS):
            return False
        return all(matches(item, arguments[0]) for item in value)
    if origin is Mapping:
        key, field = arguments
        return isinstance(value, Mapping) and all(
            matches(name, key) and matches(item, field) for name, item in value.items()
        )
    return _is_instance(value, origin or hint)


def _is_instance(value: object, cls: Any) -> bool:  # noqa: ANN401  (an annotation)
    if cls is None:
        return value is None
    if not isinstance(cls, type):  # the name of a type, or what else only mypy reads
        return True
    if cls is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, cls)


def describe_hint(hint: Any) -> str:  # noqa: ANN401  (an annotation)
    """Write an annotation for people: ``str or bentoml.Tag``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(map(describe_hint, arguments)))
    if origin is Literal:
        return "str"
    if origin is Sequence:
        return f"a list of {describe_hint(arguments[0])}"
    if origin is Mapping:
        return "a mapping of {} to {}".format(*map(describe_hint, arguments))
    if origin is Callable:
        return "a function"
    cls = origin or hint
    return _NAMES.get(cls) or str(getattr(cls, "__name__", cls))
