"""The tensors of a safetensors file: 8 bytes of length, a JSON header, then the tensors."""

import json
from typing import Any, Final

from airgap.chunking.pieces import Region

__all__ = ["plan"]

_WIDTHS: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_LENGTH: Final = 8


def plan(start: bytes, size: int) -> list[Region] | None:
    """Return header, tensors and gaps in file order; None if this is no such file."""
    header = int.from_bytes(start[:_LENGTH], "little")
    body = _LENGTH + header
    if start[_LENGTH : _LENGTH + 1] != b"{" or body > min(len(start), size):
        return None
    try:
        document = json.loads(start[_LENGTH:body])
        tensors = sorted(_span(one) for name, one in document.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    regions, at = [Region(body)], 0
    for begin, end, width in tensors:
        if not at <= begin <= end <= size - body:
            return None
        regions += [Region(begin - at), Region(end - begin, width)]
        at = end
    return regions


def _span(tensor: dict[str, Any]) -> tuple[int, int, int]:
    """Return begin, end (from the end of the header) and the width of one number."""
    begin, end = tensor["data_offsets"]
    if type(begin) is not int or type(end) is not int:
        raise TypeError("an offset is not an integer")
    return begin, end, _WIDTHS.get(tensor["dtype"], 0)
