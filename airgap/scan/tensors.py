"""Forms that hold nothing but tensors: safetensors and NumPy's arrays."""

import ast
import json
import re
from math import prod
from typing import Final, cast

from airgap.scan.contents import Content
from airgap.scan.pickle_values import demand
from airgap.scan.pickles import follow_pickle
from airgap.scan.verdicts import Judgment, Unreadable, inert, refused

__all__ = ["NPY_MARK", "find_safetensors_header", "judge_npy", "judge_safetensors"]

NPY_MARK: Final = b"\x93NUMPY"
_HEADER_BYTES: Final = 4 * 1024 * 1024
_NPY_HEADER_BYTES: Final = 64 * 1024
_HEADER_BYTES_PER_STEP: Final = 16
_PLAIN_HEADER: Final = re.compile(
    r"\{'descr': '([<>|=][A-Za-z?][0-9]{0,7})', 'fortran_order': (?:True|False),"
    r" 'shape': \(([0-9]{1,18},|[0-9]{1,18}(?:, [0-9]{1,18}){1,63}|)\), \} *\n"
)
"""What NumPy writes for numbers."""
_MOST_DIMENSIONS: Final = 64
_BITS: Final = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
_NUMPY_TYPE: Final = re.compile(
    r"[<>|=]?([biufcSUV?])([0-9]{0,7})|[<>][mM]8(?:\[[A-Za-z0-9]{1,8}\])?"
)


def find_safetensors_header(content: Content) -> int:
    """Return the length of the header that a safetensors file would have; 0: it is none."""
    start = content.read(0, 9)
    size = int.from_bytes(start[:8], "little")
    return size if start[8:] == b"{" and 0 < size <= content.size - 8 else 0


def judge_safetensors(content: Content) -> Judgment:
    """Judge a safetensors file: its tensors cover it from the header to the last byte."""
    form = "safetensors"
    size = find_safetensors_header(content)
    demand(size <= _HEADER_BYTES, f"its header has {size:,} bytes")
    try:
        header = json.loads(content.read_exactly(8, size), object_pairs_hook=_refuse_repeats)
    except (ValueError, RecursionError) as error:
        return refused(form, f"its header is not JSON: {error}")
    metadata = header.pop("__metadata__", {})
    demand(isinstance(metadata, dict), "its metadata are not texts")
    demand(all(isinstance(text, str) for text in metadata.values()), "its metadata are not texts")
    end = 0
    spans = sorted((_find_span(name, tensor), name) for name, tensor in header.items())
    for (begin, after), name in spans:
        demand(begin == end, f"{name[:80]!r} does not begin where the tensor before ends")
        end = after
    demand(8 + size + end == content.size, "bytes belong to no tensor")
    return inert(form)


def _refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice")
    return values


def _find_span(name: str, tensor: object) -> tuple[int, int]:
    """Return where a tensor begins and ends; raises Unreadable when its shape has another size."""
    match tensor:
        case {
            "dtype": str(kind),
            "shape": list(shape),
            "data_offsets": [int(begin), int(end)],
            **others,
        } if kind in _BITS and not others and len(shape) <= _MOST_DIMENSIONS:
            counts = [n for n in shape if type(n) is int and n >= 0]
            if len(counts) == len(shape) and 0 <= begin <= end:
                if prod(counts) * _BITS[kind] == 8 * (end - begin):
                    return begin, end
                raise Unreadable(f"{name[:80]!r} has another size than its shape")
        case _:
            pass
    raise Unreadable(f"{name[:80]!r} is described in another way than a tensor")


def judge_npy(content: Content) -> Judgment:
    """Judge an array of NumPy: numbers in the size of its shape, or a pickle of objects."""
    kind, shape, offset = _read_npy_header(content)
    if kind == "|O":
        objects = follow_pickle(content, offset)
        demand(objects.end == content.size, "bytes follow the end of its pickle")
        return inert("npy with a pickle")
    demand(len(shape) <= _MOST_DIMENSIONS and all(n >= 0 for n in shape), "its shape is not one")
    width = _measure_type(kind)
    demand(offset + width * prod(shape) == content.size, "it has another size than its shape")
    return inert("npy")


def _read_npy_header(content: Content) -> tuple[object, tuple[int, ...], int]:
    """Return type, shape, and where the numbers begin."""
    start = content.read_exactly(0, 8)
    demand(start[6] in {1, 2, 3} and start[7] == 0, "it is of another version")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(content.read_exactly(8, width), "little")
    demand(length <= _NPY_HEADER_BYTES, f"its header has {length:,} bytes")
    text = content.read_exactly(8 + width, length).decode("latin-1")
    content.budget.spend(length // _HEADER_BYTES_PER_STEP)
    if plain := _PLAIN_HEADER.fullmatch(text):
        return plain[1], tuple(map(int, plain[2].replace(",", " ").split())), 8 + width + length
    content.budget.spend(length)
    try:
        header = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise Unreadable("its header is not a dictionary of Python") from error
    match header:
        case {"descr": kind, "fortran_order": bool(), "shape": tuple(shape), **others} if (
            not others and all(type(n) is int for n in shape)
        ):
            return kind, cast("tuple[int, ...]", shape), 8 + width + length
        case _:
            pass
    raise Unreadable("its header names no type and shape")


def _measure_type(kind: object, *, is_field: bool = False) -> int:
    """Return the bytes of one number, or of one record of them."""
    match kind:
        case str() if matched := _NUMPY_TYPE.fullmatch(kind):
            letter, digits = matched.groups()
            if letter is None:
                return 8
            if letter == "?":
                demand(not digits, "its numbers are of a type that is not known")
                return 1
            demand(digits, "its numbers are of a type that is not known")
            return int(digits) * (4 if letter == "U" else 1)
        case list() if not is_field:
            return sum(_measure_field(field) for field in kind)
        case _:
            pass
    raise Unreadable("its numbers are of a type that is not known")


def _measure_field(field: object) -> int:
    match field:
        case (str(), kind):
            return _measure_type(kind, is_field=True)
        case (str(), kind, tuple(shape)) if all(type(n) is int and n >= 0 for n in shape):
            return _measure_type(kind, is_field=True) * prod(shape)
        case _:
            pass
    raise Unreadable("its records are of a type that is not known")
