"""The tensors of a safetensors file: 8 bytes of length, a JSON header, then the tensors."""

import json
from typing import Any, Final

from airgap.chunking.pieces import Peekable, Region
from airgap.chunking.sizes import HEAD

__all__ = ["plan"]

_WIDTHS: Final = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I8", "U8"), 1),
}
_LENGTH: Final = 8


def plan(file: Peekable) -> list[Region] | None:
    """Return header, tensors and gaps in file order; None if this is not a safetensors file."""
    start = file.peek(0, _LENGTH + 1)
    header = int.from_bytes(start[:_LENGTH], "little")
    body = _LENGTH + header
    if start[_LENGTH:] != b"{" or body > min(HEAD, file.size):
        return None
    try:
        document = json.loads(file.peek(_LENGTH, header))
        tensors = sorted(
            _parse_span(name, entry) for name, entry in document.items() if name != "__metadata__"
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    regions, at = [Region(body, name="header")], 0
    for begin, end, width, name in tensors:
        if not at <= begin <= end <= file.size - body:
            return None
        regions += [Region(begin - at), Region(end - begin, width, name)]
        at = end
    return regions


def _parse_span(name: str, entry: dict[str, Any]) -> tuple[int, int, int, str]:
    """Return a tensor's begin and end (from the header's end), width of its numbers, and name."""
    begin, end = entry["data_offsets"]
    if type(begin) is not int or type(end) is not int:
        raise TypeError("an offset is not an integer")
    return begin, end, _WIDTHS.get(entry["dtype"], 0), name
