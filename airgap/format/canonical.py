"""Canonical msgpack (format §2.1): one value, one encoding."""

from collections.abc import Iterable, Sized
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import msgpack

from airgap.errors import CorruptError
from airgap.format import limits

__all__ = ["Records", "decode", "encode"]

T = TypeVar("T", bound=Sized)

_MAX_DEPTH: Final = 500
_PLAIN: Final = frozenset({str, bytes, int, bool, type(None)})
_TEXT: Final = frozenset({str})


class Records(NamedTuple):
    """An array of maps of plain values, which who made them wrote in the order of their keys.

    They are encoded without a look at each: a manifest has a hundred thousand entries.
    """

    maps: list[dict[str, Any]]


_ARRAYS: Final = frozenset({list, tuple, Records})


def encode(value: Any) -> bytes:  # noqa: ANN401  (any tree of plain values)
    """Encode a tree of maps, arrays, ``Records``, strings, bytes, integers, booleans and nil.

    Raises:
        TypeError: the tree has anything else, such as a float, a negative integer or a key that is
            not a string.
        ValueError: it is nested too deeply.
    """
    packer = msgpack.Packer(use_bin_type=True, strict_types=True, autoreset=False)
    _pack(value, packer, _MAX_DEPTH)
    raw: bytes = packer.bytes()
    return raw


def decode(raw: bytes, *, limit: int, what: str) -> Any:  # noqa: ANN401  (checked by the caller)
    """Decode one canonical value of at most ``limit`` bytes; ``what`` names it in messages.

    Raises:
        CorruptError: too long, not msgpack, or not the canonical encoding (format §2.1).
    """
    if len(raw) > limit:
        raise CorruptError(
            f"The {what} has {len(raw):,} bytes (at most {limit:,} are allowed).", _HINT
        )
    budget = _Budget()
    try:
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            ext_hook=_refuse_extension,
            list_hook=budget.spend,
            object_hook=budget.spend,
            max_array_len=min(len(raw), limits.ENTRIES),
            max_map_len=min(len(raw), limits.SITES),
        )
        again = encode(value)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        problem = str(error).rstrip(".") or "it is nested too deeply"
        raise CorruptError(f"The {what} is not canonical msgpack: {problem}.", _HINT) from error
    if again != raw:
        raise CorruptError(f"The {what} is not in canonical encoding.", _HINT)
    return value


class _Budget:
    """Limits the number of values: an empty map is one byte, but sixty-four in memory."""

    def __init__(self) -> None:
        self._containers = limits.CONTAINERS
        self._values = limits.VALUES

    def spend(self, container: T) -> T:
        """Count and return a map or an array that has just been decoded."""
        self._containers -= 1
        self._values -= len(container)
        if self._containers < 0 or self._values < 0:
            raise ValueError("too many values")
        return container


_HINT = "Copy it from its source again; if that does not help, ask the sender to export it again."


def _pack(value: Any, packer: msgpack.Packer, depth: int) -> None:  # noqa: ANN401
    """Append a value, maps in the order of their keys; refuse types that version 1 does not have.

    ``depth`` is how many levels of nesting are left. A map of plain values whose keys are in order,
    such as a file's entry, is appended at once: a manifest has a hundred thousand of them.
    """
    if not depth:
        raise ValueError("it is nested too deeply")
    kind = type(value)
    if kind is dict:
        keys = _sort_keys(value)
        if depth > 1 and keys == list(value) and _PLAIN.issuperset(map(type, value.values())):
            _check_integers(value.values())
            packer.pack(value)
            return
        packer.pack_map_header(len(value))
        for key in keys:
            packer.pack(key)
            _pack(value[key], packer, depth - 1)
    elif kind in _ARRAYS:
        _pack_array(value, packer, depth)
    elif kind in _PLAIN:
        _check_integers((value,))
        packer.pack(value)
    else:
        raise TypeError(f"a {kind.__name__} is not allowed")


def _pack_array(value: Any, packer: msgpack.Packer, depth: int) -> None:  # noqa: ANN401
    if type(value) is Records:
        packer.pack(value.maps)
        return
    packer.pack_array_header(len(value))
    for element in value:
        _pack(element, packer, depth - 1)


def _check_integers(values: Iterable[Any]) -> None:
    for value in values:
        if type(value) is int and not 0 <= value <= limits.INTEGER:
            raise TypeError(f"integer {value} is out of range")


def _sort_keys(value: dict[Any, Any]) -> list[str]:
    """Return the keys by code point: the order of UTF-8 bytes."""
    if not _TEXT.issuperset(map(type, value)):
        raise TypeError("a map key is not a string")
    return sorted(value)


def _refuse_extension(code: int, _data: bytes) -> NoReturn:
    raise ValueError(f"extension type {code} is not allowed")
