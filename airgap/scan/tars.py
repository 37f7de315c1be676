"""A tar of plain files and folders, from its first block to the zeros at its end."""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from airgap.scan.contents import PIECE, Content
from airgap.scan.member_names import demand_member_name
from airgap.scan.pickle_values import demand
from airgap.scan.verdicts import Unreadable

__all__ = ["TarMember", "is_tar", "list_tar"]

_BLOCK: Final = 512
_FILE, _FOLDER = b"0", b"5"
_MOST_MEMBERS: Final = 20_000
_OCTAL: Final = re.compile(rb"[\s\0]*[+-]?([0-7]+)")
_BASE_64: Final = re.compile(rb"\s*[+-]([A-Za-z0-9+/]+)")
_CHECKSUM: Final = re.compile(rb"([0-7]{6})\0 ")
_SIZE: Final = re.compile(rb"([0-7]{11})[\0 ]")
_NUMBERS: Final = re.compile(rb"[0-7 \0]*")
_OWNERS: Final = re.compile(rb"([\w.@+ -]*\0*){2}[0-7 \0]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file in a tar: where its bytes lie."""

    name: str
    start: int
    size: int


def is_tar(content: Content) -> bool:
    """Tell whether the most lenient reader of tars would take the first block for a header."""
    block = content.read(0, _BLOCK)
    if len(block) < _BLOCK:
        return False
    sums = {_sum_up(block), _sum_signed(block)}
    return block[257:262] == b"ustar" or not sums.isdisjoint(_read_leniently(block[148:156]))


def _read_leniently(field: bytes) -> set[int]:
    """Return the numbers that readers see in a field: Python, GNU tar, and those that use C.

    They stop at the first NUL or at what is not a digit, skip white space and signs, or read the
    field to the base of 256 or of 64.
    """
    numbers = {int.from_bytes(field[1:], "big"), int.from_bytes(field, "big", signed=True)}
    with suppress(ValueError):
        numbers.add(int(field.partition(b"\0")[0].decode("ascii").strip() or "0", 8))
    if digits := _OCTAL.match(field):
        numbers.add(int(digits[1], 8))
    if digits := _BASE_64.match(field):
        numbers.add(int.from_bytes(base64.b64decode(digits[1].rjust(12, b"A")), "big"))
    return numbers


def _sum_up(block: bytes) -> int:
    """Return the checksum of a header, in which the checksum itself counts as spaces."""
    return sum(block) - sum(block[148:156]) + 8 * ord(" ")


def _sum_signed(block: bytes) -> int:
    """Return the checksum of old programs, to which bytes are signed."""
    blank = block[:148] + b" " * 8 + block[156:]
    return sum(byte - 256 if byte > 127 else byte for byte in blank)  # noqa: PLR2004


def list_tar(content: Content) -> list[TarMember]:
    """Return the files of a tar; raises Unreadable where two readers might differ."""
    members: list[TarMember] = []
    names: set[str] = set()
    offset = 0
    while (block := content.read_exactly(offset, _BLOCK)) != bytes(_BLOCK):
        content.budget.spend()
        name, size = _read_header(block)
        demand(name.lower() not in names, "a member stands twice in it")
        demand(len(names) < _MOST_MEMBERS, "it has too many members")
        names.add(name.lower())
        kind = block[156:157]
        demand(kind in {_FILE, _FOLDER} and block[257:263] == b"ustar\0", "it has other members")
        demand(kind == _FILE or not size, "a folder has bytes")
        content.demand(offset + _BLOCK, size)
        if kind == _FILE:
            members.append(TarMember(name, offset + _BLOCK, size))
        offset += _BLOCK + size
        padding = -size % _BLOCK
        demand(not content.read_exactly(offset, padding).strip(b"\0"), "bytes follow a member")
        offset += padding
    for place in range(offset, content.size, PIECE):
        demand(not content.read(place, PIECE).strip(b"\0"), "something follows its end")
    return members


def _read_header(block: bytes) -> tuple[str, int]:
    """Return the name and size of a member; raises Unreadable if a field is not as tars have it."""
    checksum = _CHECKSUM.fullmatch(block[148:156])
    demand(checksum and int(checksum[1], 8) == _sum_up(block), "the tar is damaged")
    demand(_NUMBERS.fullmatch(block[100:124] + block[136:148]), "the tar is damaged")
    size = _SIZE.fullmatch(block[124:136])
    if size is None:
        raise Unreadable("a member has no size")
    demand(not any(block[157:257] + block[500:]), "a field that is not used is not empty")
    demand(block[263:265] == b"00" and _OWNERS.fullmatch(block[265:345]), "it has other members")
    return _read_name(block), int(size[1], 8)


def _read_name(block: bytes) -> str:
    try:
        name = block[:100].rstrip(b"\0").decode()
        prefix = block[345:500].rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise Unreadable("the name of a member is not a text") from error
    whole = f"{prefix}/{name}" if prefix else name
    demand_member_name(whole)
    return whole
