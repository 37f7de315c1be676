"""Compares plain data with a ``TypedDict``, field by field, as a type checker would."""

import types
from collections.abc import Iterator
from typing import Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["find_problems"]


def find_problems(value: object, hint: object, path: str = "") -> Iterator[str]:
    """Yield what a value has that its type does not say, and what it lacks."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_typeddict(hint):
        yield from _find_in_fields(value, hint, path)
    elif origin is list and isinstance(value, list):
        for number, item in enumerate(value):
            yield from find_problems(item, arguments[0], f"{path}[{number}]")
    elif origin is dict and isinstance(value, dict):
        for name, item in value.items():
            yield from find_problems(name, arguments[0], f"{path}.{name}")
            yield from find_problems(item, arguments[1], f"{path}.{name}")
    elif not _is_one(value, hint):
        yield f"{path}: {value!r} is not {hint}"


def _is_one(value: object, hint: object) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(not list(find_problems(value, choice)) for choice in arguments)
    if origin is Literal:
        return value in arguments and type(value) in map(type, arguments)
    return type(value) is hint


def _find_in_fields(value: object, hint: type, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not {hint.__name__}"
        return
    fields = get_type_hints(hint)
    required: frozenset[str] = getattr(hint, "__required_keys__", frozenset())
    for name in (fields.keys() - value.keys()) & required:
        yield f"{path}: {hint.__name__} lacks {name}"
    for name in value.keys() - fields.keys():
        yield f"{path}: {hint.__name__} has no field {name}"
    for name in value.keys() & fields.keys():
        yield from find_problems(value[name], fields[name], f"{path}.{name}")
