"""The tensors of a GGUF file: a header of typed keys, a table of tensors, then the tensors."""

import struct
from typing import Final

from airgap.chunking.pieces import Peekable, Region
from airgap.chunking.sizes import HEAD

__all__ = ["plan"]

_MAGIC: Final = b"GGUF"
_WIDTHS: Final = {0: 4, 1: 2, 28: 8, 30: 2}  # F32, F16, F64, BF16
_QUANTISED: Final = 1  # the others are blocks of packed small integers, with their scales
_SIZES: Final = (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)  # of values, by type; 0: string, array
_STRING: Final = 8
_ARRAY: Final = 9
_MOST: Final = 1_000_000  # keys, tensors, elements of an array of strings
_ALIGNMENT: Final = 32


def plan(file: Peekable) -> list[Region] | None:
    """Return header, tensors and what follows them; None if this is no such file."""
    if file.peek(0, len(_MAGIC)) != _MAGIC:
        return None
    try:
        return _plan(_Reader(file.peek(0, HEAD)), file.size)
    except (struct.error, ValueError, IndexError):
        return None


def _plan(read: "_Reader", size: int) -> list[Region] | None:
    version, tensors, keys = read.unpack("<4xIQQ")
    if version not in (2, 3) or max(tensors, keys) > _MOST:
        return None
    alignment = _ALIGNMENT
    for _ in range(keys):
        name = read.string()
        (kind,) = read.unpack("<I")
        value = read.value(kind)
        if name == b"general.alignment" and value:
            alignment = value
    spans = sorted(_tensor(read) for _ in range(tensors))
    body = -(-read.at // alignment) * alignment
    starts = [body + offset for offset, _, _ in spans]
    if not starts or starts[-1] > size:
        return None
    lengths = [end - begin for begin, end in zip(starts, [*starts[1:], size], strict=True)]
    regions = [
        Region(length, width, name) for length, (_, width, name) in zip(lengths, spans, strict=True)
    ]
    return [Region(starts[0], name="header"), *regions]


def _tensor(read: "_Reader") -> tuple[int, int, str]:
    """Return a tensor's offset, the width of its numbers, and its name."""
    name = read.string().decode(errors="replace")
    (dimensions,) = read.unpack("<I")
    read.skip(8 * dimensions)
    kind, offset = read.unpack("<IQ")
    return offset, _WIDTHS.get(kind, _QUANTISED), name


class _Reader:
    """Walks over the header; raises ValueError or struct.error past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def unpack(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self._data, self.at)
        self.at += struct.calcsize(form)
        return values

    def skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise ValueError("past the end")

    def string(self) -> bytes:
        (length,) = self.unpack("<Q")
        begin = self.at
        self.skip(length)
        return self._data[begin : self.at]

    def value(self, kind: int) -> int:
        """Pass over a value; return it if it is an unsigned 32-bit integer."""
        if kind == _STRING:
            self.string()
        elif kind == _ARRAY:
            self._array()
        elif kind == 4:  # noqa: PLR2004  (UINT32)
            return self.unpack("<I")[0]
        else:
            self.skip(_SIZES[kind])
        return 0

    def _array(self) -> None:
        kind, count = self.unpack("<IQ")
        if kind == _STRING and count <= _MOST:
            for _ in range(count):
                self.string()
        elif _SIZES[kind]:
            self.skip(_SIZES[kind] * count)
        else:
            raise ValueError("an array of arrays")
