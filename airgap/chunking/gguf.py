"""The tensors of a GGUF file: a header of typed keys, a table of tensors, then the tensors."""

import struct
from typing import Final

from airgap.chunking.pieces import Peekable, Region
from airgap.chunking.sizes import HEAD

__all__ = ["HeaderReader", "plan"]

_MAGIC: Final = b"GGUF"
_WIDTHS: Final = {0: 4, 1: 2, 28: 8, 30: 2}  # F32, F16, F64, BF16
_QUANTIZED_WIDTH: Final = 1  # other types are blocks of packed small integers with their scales
_VALUE_SIZES: Final = (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)  # by type; 0: string or array
_UINT32: Final = 4
_STRING: Final = 8
_ARRAY: Final = 9
_MAX_COUNT: Final = 1_000_000  # of keys, tensors, elements of an array of strings
_ALIGNMENT: Final = 32


def plan(file: Peekable) -> list[Region] | None:
    """Return the header and the tensors, each with the bytes up to the next; None if not GGUF."""
    if file.peek(0, len(_MAGIC)) != _MAGIC:
        return None
    try:
        return _plan_tensors(HeaderReader(file.peek(0, HEAD)), file.size)
    except (struct.error, ValueError, IndexError):
        return None


def _plan_tensors(reader: "HeaderReader", size: int) -> list[Region] | None:
    tensors, keys = reader.read_counts()
    alignment = _ALIGNMENT
    for _ in range(keys):
        name = reader.read_string()
        (value_type,) = reader.unpack("<I")
        value = reader.read_value(value_type)
        if name == b"general.alignment" and value:
            alignment = value
    spans = sorted(_read_tensor(reader) for _ in range(tensors))
    body = -(-reader.at // alignment) * alignment
    starts = [body + offset for offset, _, _ in spans]
    if not starts or starts[-1] > size:
        return None
    lengths = [end - begin for begin, end in zip(starts, [*starts[1:], size], strict=True)]
    regions = [
        Region(length, width, name) for length, (_, width, name) in zip(lengths, spans, strict=True)
    ]
    return [Region(starts[0], name="header"), *regions]


def _read_tensor(reader: "HeaderReader") -> tuple[int, int, str]:
    """Return a tensor's offset, the width of its numbers, and its name."""
    name = reader.read_string().decode(errors="replace")
    (dimensions,) = reader.unpack("<I")
    reader.skip(8 * dimensions)
    tensor_type, offset = reader.unpack("<IQ")
    return offset, _WIDTHS.get(tensor_type, _QUANTIZED_WIDTH), name


class HeaderReader:
    """Reads the header in order; raises ValueError or struct.error past its end."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self._data = data
        self.at = 0

    def read_counts(self) -> tuple[int, int]:
        """Return the number of tensors and of keys. Raises ValueError: another version."""
        version, tensors, keys = self.unpack("<4xIQQ")
        if version not in (2, 3) or max(tensors, keys) > _MAX_COUNT:
            raise ValueError("another version, or too many keys")
        return tensors, keys

    def unpack(self, form: str) -> tuple[int, ...]:
        """Return the next integers."""
        values = struct.unpack_from(form, self._data, self.at)
        self.at += struct.calcsize(form)
        return values

    def skip(self, count: int) -> None:
        """Pass over so many bytes."""
        self.at += count
        if self.at > len(self._data):
            raise ValueError("past the end")

    def read_string(self) -> bytes:
        """Return the next string."""
        (length,) = self.unpack("<Q")
        begin = self.at
        self.skip(length)
        return self._data[begin : self.at]

    def read_value(self, value_type: int) -> int:
        """Skip a value; return it if it is an unsigned 32-bit integer, else 0."""
        if value_type == _STRING:
            self.read_string()
        elif value_type == _ARRAY:
            self._skip_array()
        elif value_type == _UINT32:
            return self.unpack("<I")[0]
        else:
            self.skip(_VALUE_SIZES[value_type])
        return 0

    def _skip_array(self) -> None:
        value_type, count = self.unpack("<IQ")
        if value_type == _STRING and count <= _MAX_COUNT:
            for _ in range(count):
                self.read_string()
        elif _VALUE_SIZES[value_type]:
            self.skip(_VALUE_SIZES[value_type] * count)
        else:
            raise ValueError("an array of arrays")
