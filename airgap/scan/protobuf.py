"""The wire form of protocol buffers: fields of a message, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from airgap.scan.contents import Content
from airgap.scan.verdicts import Unreadable

__all__ = ["Field", "read_fields"]

_VARINT: Final = 0
_FIXED_64: Final = 1
_BYTES: Final = 2
_FIXED_32: Final = 5
_VARINT_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Field:
    """A field's number and its value: a number, or the content of a text or a message."""

    number: int
    value: int
    content: Content | None

    def read_text(self, limit: int = 4096) -> str:
        """Return the field as a text of at most ``limit`` bytes; raises Unreadable."""
        if self.content is None:
            raise Unreadable(f"field {self.number} is a number")
        try:
            return self.content.read_whole(limit).decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"field {self.number} is not a text") from error


def read_fields(content: Content) -> Iterator[Field]:
    """Yield the fields of a message; raises Unreadable where it is none."""
    offset = 0
    while offset < content.size:
        content.budget.spend(2)
        key, offset = _read_varint(content, offset)
        number, kind = key >> 3, key & 7
        if not number:
            raise Unreadable("a field has the number 0")
        value, offset, size = _read_value(content, kind, offset)
        if size is None:
            yield Field(number, value, None)
        else:
            yield Field(number, 0, content.part(offset, size))
            offset += size


def _read_value(content: Content, kind: int, offset: int) -> tuple[int, int, int | None]:
    """Return a number, where the next field or the data begin, and the length of data."""
    if kind == _VARINT:
        value, offset = _read_varint(content, offset)
        return value, offset, None
    if kind == _BYTES:
        size, offset = _read_varint(content, offset)
        return 0, offset, size
    width = {_FIXED_64: 8, _FIXED_32: 4}.get(kind)
    if width is None:
        raise Unreadable(f"a field has the type {kind}")
    data = content.read_exactly(offset, width)
    return int.from_bytes(data, "little"), offset + width, None


def _read_varint(content: Content, offset: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(content.read(offset, _VARINT_BYTES)):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 -- the last byte of a number has no such bit
            return value, offset + index + 1
    raise Unreadable("a number does not end")
