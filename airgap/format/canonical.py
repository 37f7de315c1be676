"""Canonical msgpack (format §2.1): one value, one encoding."""

from typing import Any, NoReturn

import msgpack

from airgap.errors import CorruptError
from airgap.format import limits

__all__ = ["decode", "encode"]


def encode(value: Any) -> bytes:  # noqa: ANN401  (any tree of plain values)
    """Encode a tree of maps, arrays, strings, bytes, integers, booleans and nil.

    Raises:
        TypeError: the tree holds something else: a float, a negative integer, a non-string key.
    """
    packed: bytes = msgpack.packb(_ordered(value), use_bin_type=True, strict_types=True)
    return packed


def decode(raw: bytes, *, limit: int, what: str) -> Any:  # noqa: ANN401  (checked by the caller)
    """Decode one canonical value of at most ``limit`` bytes; ``what`` names it in messages.

    Raises:
        CorruptError: too long, not msgpack, or not the canonical encoding (format §2.1).
    """
    if len(raw) > limit:
        raise CorruptError(
            f"The {what} has {len(raw):,} bytes; at most {limit:,} are allowed.", _HINT
        )
    try:
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            ext_hook=_no_extension,
            max_array_len=limits.ENTRIES,
            max_map_len=limits.ENTRIES,
        )
        again = encode(value)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise CorruptError(f"The {what} is not canonical msgpack: {error}.", _HINT) from error
    if again != raw:
        raise CorruptError(f"The {what} is not in its one canonical encoding.", _HINT)
    return value


_HINT = "Copy it from its source again; if that does not help, ask the sender to export it again."


def _ordered(value: Any) -> Any:  # noqa: ANN401
    """Sort maps by key bytes and refuse what version 1 does not have."""
    kind = type(value)
    if kind is dict:
        keys = sorted(value, key=_key_bytes)
        return {key: _ordered(value[key]) for key in keys}
    if kind in (list, tuple):
        return [_ordered(one) for one in value]
    if kind is int:
        if not 0 <= value <= limits.INTEGER:
            raise TypeError(f"integer {value} is out of range")
    elif kind not in (str, bytes, bool, type(None)):
        raise TypeError(f"a {kind.__name__} is not allowed")
    return value


def _key_bytes(key: Any) -> bytes:  # noqa: ANN401
    if type(key) is not str:
        raise TypeError("a map key is not a string")
    return key.encode()


def _no_extension(code: int, _data: bytes) -> NoReturn:
    raise ValueError(f"extension type {code} is not allowed")
