"""Forms that hold nothing but tensors: safetensors and NumPy's arrays."""

import ast
import json
from math import prod
from typing import Final, cast

from airgap.scan.contents import Content, Unreadable
from airgap.scan.pickles import describe, follow_pickle
from airgap.scan.verdicts import Assessment, inert, refused

__all__ = ["NPY_MARK", "assess_npy", "assess_safetensors", "find_safetensors_header"]

NPY_MARK: Final = b"\x93NUMPY"
_HEADER_BYTES: Final = 100_000_000
_NPY_HEADER_BYTES: Final = 1_000_000
_BITS: Final = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def find_safetensors_header(content: Content) -> int:
    """Return the length of the header that a safetensors file would have; 0: it is none."""
    start = content.read(0, 9)
    size = int.from_bytes(start[:8], "little")
    return size if start[8:] == b"{" and 0 < size <= content.size - 8 else 0


def assess_safetensors(content: Content) -> Assessment:
    """Assess a safetensors file: its tensors cover it from the header to the last byte."""
    form = "safetensors"
    size = find_safetensors_header(content)
    if size > _HEADER_BYTES:
        return refused(form, f"its header has {size:,} bytes")
    try:
        header = json.loads(content.read_exactly(8, size), object_pairs_hook=_refuse_repeats)
    except (ValueError, RecursionError) as error:
        return refused(form, f"its header is not JSON: {error}")
    header.pop("__metadata__", None)
    end = 0
    spans = sorted((_find_span(name, tensor), name) for name, tensor in header.items())
    for (begin, after), name in spans:
        if begin != end:
            return refused(form, f"{name} does not begin where the tensor before ends")
        end = after
    if 8 + size + end != content.size:
        return refused(form, f"{content.size - 8 - size - end:,} bytes belong to no tensor")
    return inert(form)


def _refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _find_span(name: str, tensor: object) -> tuple[int, int]:
    """Return where a tensor begins and ends; raises Unreadable when its shape has another size."""
    match tensor:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            counts = [n for n in shape if type(n) is int and n >= 0]
            if kind in _BITS and len(counts) == len(shape) and 0 <= begin <= end:
                if prod(counts) * _BITS[kind] == 8 * (end - begin):
                    return begin, end
                raise Unreadable(f"{name[:80]} has another size than its shape")
        case _:
            pass
    raise Unreadable(f"{name[:80]} is described in another way than a tensor")


def assess_npy(content: Content) -> Assessment:
    """Assess an array of NumPy: numbers in the size of its shape, or a pickle of objects."""
    form = "npy"
    kind, shape, offset = _read_npy_header(content)
    if "O" in str(kind):
        pickle = follow_pickle(content, offset, is_whole=True)
        return describe(pickle, "npy with a pickle")
    width = _measure_type(kind)
    if offset + width * prod(shape) != content.size:
        return refused(form, "it has another size than its shape")
    return inert(form)


def _read_npy_header(content: Content) -> tuple[object, tuple[int, ...], int]:
    """Return type, shape, and where the numbers begin."""
    start = content.read_exactly(0, 8)
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(content.read_exactly(8, width), "little")
    if length > _NPY_HEADER_BYTES:
        raise Unreadable(f"its header has {length:,} bytes")
    text = content.read_exactly(8 + width, length).decode("latin-1")
    try:
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise Unreadable("its header is not a dictionary of Python") from error
    match header:
        case {"descr": kind, "shape": tuple(shape)} if all(type(n) is int for n in shape):
            return kind, cast("tuple[int, ...]", shape), 8 + width + length
        case _:
            pass
    raise Unreadable("its header names no type and shape")


def _measure_type(kind: object) -> int:
    """Return the bytes of one number, or of one record of them."""
    match kind:
        case str() if len(kind) >= 3 and kind[2:].isdecimal() and len(kind) < 12:  # noqa: PLR2004
            return int(kind[2:]) * (4 if kind[1] == "U" else 1)
        case list():
            return sum(_measure_field(field) for field in kind)
        case _:
            pass
    raise Unreadable("its numbers are of a type that is not known")


def _measure_field(field: object) -> int:
    match field:
        case (_, kind):
            return _measure_type(kind)
        case (_, kind, tuple(shape)) if all(type(n) is int for n in shape):
            return _measure_type(kind) * prod(shape)
        case _:
            pass
    raise Unreadable("its records are of a type that is not known")
