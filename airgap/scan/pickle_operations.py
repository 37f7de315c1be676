"""The operations of a pickle, one at a time, with the bytes that nobody needs left unread."""

import pickletools
from collections.abc import Generator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from airgap.scan.contents import Content, Unreadable

__all__ = ["Operation", "read_operations"]

_BY_CODE: Final = {operation.code: operation for operation in pickletools.opcodes}
_LINE: Final = 64 * 1024
_KEPT: Final = 64 * 1024
"""Longer bytes and texts are data: their length is read, and what is in them is not."""
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
"""By the kind of an argument: how many bytes its length has, and whether that is signed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name in `pickletools`, its argument, and where the next one begins."""

    name: str
    argument: object
    end: int


def read_operations(content: Content, offset: int) -> Generator[Operation, int | None, None]:
    """Yield operations from an offset on, without an end of its own: STOP is for the caller.

    A caller that skips bytes between two operations sends the new offset.

    Raises:
        Unreadable: there is no such operation, or its argument is not one.
    """
    while True:
        content.budget.spend_step()
        code = content.read_exactly(offset, 1).decode("latin-1")
        operation = _BY_CODE.get(code)
        if operation is None:
            raise Unreadable(f"byte {offset:,} is not an operation of a pickle")
        argument, end = _read_argument(content, operation, offset + 1)
        moved = yield Operation(operation.name, argument, end)
        offset = end if moved is None else moved


def _read_argument(
    content: Content, operation: pickletools.OpcodeInfo, offset: int
) -> tuple[object, int]:
    kind = operation.arg
    if kind is None:
        return None, offset
    size = _measure(content, kind.n, offset, operation.name)
    if size > _KEPT + 8:
        content.part(offset, size)  # it must be there
        return None, offset + size
    data = content.read_exactly(offset, size)
    try:
        return kind.reader(BytesIO(data)), offset + size
    except (ValueError, UnicodeError) as error:
        raise Unreadable(f"byte {offset:,} is not the argument of {operation.name}") from error


def _measure(content: Content, kind: int, offset: int, name: str) -> int:
    """Return how many bytes an argument has, its length counted."""
    if kind >= 0:
        return kind
    if kind == pickletools.UP_TO_NEWLINE:
        lines = 2 if name in {"GLOBAL", "INST"} else 1
        data = content.read(offset, _LINE)
        end = -1
        for _ in range(lines):
            end = data.find(b"\n", end + 1)
            if end < 0:
                raise Unreadable(f"the line at byte {offset:,} does not end")
        return end + 1
    width, signed = _LENGTHS[kind]
    length = int.from_bytes(content.read_exactly(offset, width), "little", signed=signed)
    if length < 0:
        raise Unreadable(f"the length at byte {offset:,} is negative")
    return width + length
