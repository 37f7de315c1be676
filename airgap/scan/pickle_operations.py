"""The operations of a pickle, one at a time, with the bytes that nobody needs left unread."""

import codecs
import pickletools
import re
import struct
from typing import Final, NamedTuple

from airgap.scan.contents import Content
from airgap.scan.verdicts import Unreadable

__all__ = ["Data", "Operation", "Text", "find_name", "read_operation"]

_BY_CODE: Final = {ord(operation.code): operation for operation in pickletools.opcodes}
_LINE: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_SHORT: Final = 9
_KEPT: Final = 256
_LATIN_1: Final = re.compile(rb"[\x00-\x7f\xc2\xc3\x80-\xbf]*")
_LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
"""By the kind of an argument: how many bytes its length has, and whether that is signed."""
_ASKS: Final = frozenset({"STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_TAKES: Final = frozenset(
    {
        *("STACK_GLOBAL", "APPEND", "SETITEM", "BUILD", "REDUCE", "DUP", "BINPERSID", "NEWOBJ"),
        *("NEWOBJ_EX", "TUPLE1", "TUPLE2", "TUPLE3", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
        *("GET", "BINGET", "LONG_BINGET", "READONLY_BUFFER", "STOP"),
    }
)
"""Operations that every reader fails at when nothing was pushed; GET needs what was put."""
_GOES_BACK: Final = frozenset(
    {"TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS", "ADDITEMS", "FROZENSET", "OBJ", "POP_MARK"}
)
_PUSHES_NOTHING: Final = frozenset({"PROTO", "FRAME", "MARK", "POP", "POP_MARK"})
_MODULE: Final = re.compile(r"[\w.-]+")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,4000}")
_QUOTED: Final = re.compile(r"'[ -&(-\[\]-~]*'|\"[ !#-\[\]-~]*\"")
_FLOAT: Final = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?(?:e[+-]?[0-9]{1,4})?|inf|nan)")


class Data(NamedTuple):
    """Bytes, of which one alone is kept."""

    size: int
    kept: bytes | None = None


class Text(NamedTuple):
    """A text that is too long for a name, or has other characters than ASCII: it is not kept.

    ``is_latin`` tells whether all of its characters are in Latin-1, where each is one byte.
    """

    characters: int
    is_latin: bool


class Operation(NamedTuple):
    """One operation: its name in `pickletools`, its argument, and where the next one begins."""

    name: str
    argument: object
    end: int


def find_name(content: Content) -> bool:
    """Tell whether a reader of pickles might ask for a name before it fails on the content.

    Only where operations begin and end is followed, and what no reader does: take a value before
    any was pushed, or go back to a mark before any was set. So whatever a reader makes of arguments
    and of the stack, it gets no further than this. What cannot be followed within the budget counts
    as asking.
    """
    offset = count = 0
    has_value = has_mark = False
    try:
        while offset < content.size:
            count += 1
            if not count % 2:  # these are steps of half the size: nothing is kept of them
                content.budget.spend()
            operation = _BY_CODE.get(content.read(offset, 1)[0])
            offset += 1
            if operation is None:
                return False
            name = operation.name
            if name in {"GLOBAL", "INST"}:
                return _may_be_imported(content.read(offset, 4096))
            if (name in _TAKES and not has_value) or (name in _GOES_BACK and not has_mark):
                return False
            if name in _ASKS:
                return True
            has_mark = has_mark or name == "MARK"
            has_value = has_value or name not in _PUSHES_NOTHING
            offset = _find_end(content, operation, offset)
    except Unreadable:
        return True
    return False


def _may_be_imported(lines: bytes) -> bool:
    """Tell whether the first line could be the name of a module, which has no spaces in it."""
    line, _, _ = lines.partition(b"\n")
    try:
        name = line.decode().strip()
    except UnicodeDecodeError:
        return False
    return bool(name) and _MODULE.fullmatch(name) is not None


def _find_end(content: Content, operation: pickletools.OpcodeInfo, offset: int) -> int:
    """Return where an argument ends for the most lenient reader; the end where it is cut."""
    kind = operation.arg
    if kind is None:
        return offset
    if kind.n >= 0:
        return offset + kind.n
    if kind.n == pickletools.UP_TO_NEWLINE:
        return _find_newline(content, offset)
    width, signed = _LENGTHS[kind.n]
    length = int.from_bytes(content.read(offset, width), "little", signed=signed)
    return content.size if length < 0 else offset + width + length


def _find_newline(content: Content, offset: int) -> int:
    while offset < content.size:
        piece = content.read(offset, _LINE // 2)
        where = piece.find(b"\n")
        if where >= 0:
            return offset + where + 1
        offset += len(piece)
    return offset


def read_operation(content: Content, offset: int) -> Operation:
    """Read the operation at an offset, as strictly as a writer of pickles writes.

    Raises:
        Unreadable: there is no such operation, or its argument is not what a writer writes.
    """
    content.budget.spend()
    start = content.read(offset, _SHORT)
    operation = _BY_CODE.get(start[0]) if start else None
    if operation is None:
        raise Unreadable(f"byte {offset:,} is not an operation of a pickle")
    kind = operation.arg
    if kind is None:
        return Operation(operation.name, None, offset + 1)
    if kind.n >= 0:
        content.demand(offset + 1, kind.n)
        return Operation(
            operation.name, _parse_fixed(start[1 : 1 + kind.n], kind.name), offset + 1 + kind.n
        )
    if kind.n == pickletools.UP_TO_NEWLINE:
        argument, end = _read_lines(content, operation.name, offset + 1)
        return Operation(operation.name, argument, end)
    width, signed = _LENGTHS[kind.n]
    content.demand(offset + 1, width)
    length = int.from_bytes(start[1 : 1 + width], "little", signed=signed)
    if length < 0:
        raise Unreadable(f"the length at byte {offset + 1:,} is negative")
    begin = offset + 1 + width
    content.demand(begin, length)
    return Operation(
        operation.name, _read_sized(content, begin, length, operation.name), begin + length
    )


def _parse_fixed(raw: bytes, kind: str) -> object:
    if kind == "float8":
        return struct.unpack(">d", raw)[0]
    return int.from_bytes(raw, "little", signed=kind == "int4")


def _read_sized(content: Content, begin: int, length: int, name: str) -> object:
    if name in {"LONG1", "LONG4"}:
        if length > _KEPT:
            raise Unreadable(f"a number has {length:,} bytes")
        return int.from_bytes(content.read(begin, length), "little", signed=True)
    if "BYTE" in name:
        return Data(length, content.read(begin, length) if length == 1 else None)
    if length <= _KEPT:
        raw = content.read(begin, length)
        if raw.isascii():
            return raw.decode("ascii")
    return _measure_text(content, begin, length, "ascii" if name.endswith("STRING") else "utf-8")


def _measure_text(content: Content, begin: int, length: int, encoding: str) -> Text:
    """Return how many characters a text has; raises Unreadable if it is not in its encoding."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    characters = 0
    is_latin = True
    try:
        for offset in range(begin, begin + length, _PIECE):
            raw = content.read(offset, min(_PIECE, begin + length - offset))
            characters += len(decoder.decode(raw))
            is_latin = is_latin and _LATIN_1.fullmatch(raw) is not None
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Unreadable("a text is not in the encoding that it should have") from error
    return Text(characters, is_latin)


def _read_lines(content: Content, name: str, offset: int) -> tuple[object, int]:
    lines = 2 if name in {"GLOBAL", "INST"} else 1
    data = content.read(offset, _LINE // 2)
    end = -1
    for _ in range(lines):
        end = data.find(b"\n", end + 1)
        if end < 0:
            raise Unreadable(f"the line at byte {offset:,} is too long")
    try:
        text = data[:end].decode("raw-unicode-escape" if name == "UNICODE" else "utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"the line at byte {offset:,} is not a text") from error
    argument = _parse_line(text, name)
    if isinstance(argument, str) and (len(argument) > _KEPT or not argument.isascii()):
        argument = Text(len(argument), is_latin=all(char <= "\xff" for char in argument))
    return argument, offset + end + 1


def _parse_line(text: str, name: str) -> object:
    """Parse a line only in the one form that writers use: readers differ about others."""
    if name == "INT" and text in {"00", "01"}:
        return text == "01"
    if name == "LONG":
        text = text.removesuffix("L")
    if name in {"INT", "LONG", "GET", "PUT"} and _DECIMAL.fullmatch(text):
        return int(text)
    if name == "FLOAT" and _FLOAT.fullmatch(text):
        return float(text)
    if name == "STRING" and _QUOTED.fullmatch(text):
        return text[1:-1]
    if name == "UNICODE":
        return text
    if name in {"GLOBAL", "INST"}:
        module, _, asked = text.partition("\n")
        return module, asked
    raise Unreadable(f"{name} has an argument that no writer writes")
