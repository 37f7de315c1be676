"""A tar of plain files and folders, from its first block to the zeros at its end."""

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


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file in a tar: where its bytes lie."""

    name: str
    start: int
    size: int


def is_tar(content: Content) -> bool:
    """Tell whether a reader of tars would take the first block for a header."""
    block = content.read(0, _BLOCK)
    if len(block) < _BLOCK:
        return False
    if block[257:262] == b"ustar":
        return True
    said = block[148:156].strip(b"\0 ")
    if not said or said.strip(b"01234567"):
        return False
    plain = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return int(said, 8) == plain or int(said, 8) == _sum_signed(block)


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
        content.budget.spend_step()
        demand(is_tar(content.part(offset, _BLOCK)), "the tar is damaged")
        name, size = _read_name(block), _read_size(block)
        demand(name.lower() not in names, "a member stands twice in it")
        demand(len(names) < _MOST_MEMBERS, "it has too many members")
        names.add(name.lower())
        kind = block[156:157]
        demand(kind in {_FILE, _FOLDER} and block[257:263] == b"ustar\0", "it has other members")
        demand(kind == _FILE or not size, "a folder has bytes")
        content.demand(offset + _BLOCK, size)
        if kind == _FILE:
            members.append(TarMember(name, offset + _BLOCK, size))
        offset += _BLOCK + -(-size // _BLOCK) * _BLOCK
    for place in range(offset, content.size, PIECE):
        demand(not content.read(place, PIECE).strip(b"\0"), "something follows its end")
    return members


def _read_name(block: bytes) -> str:
    try:
        name = block[:100].rstrip(b"\0").decode()
        prefix = block[345:500].rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise Unreadable("the name of a member is not a text") from error
    whole = f"{prefix}/{name}" if prefix else name
    demand_member_name(whole)
    return whole


def _read_size(block: bytes) -> int:
    digits = block[124:136].strip(b"\0 ")
    demand(digits and not digits.strip(b"01234567"), "a member has no size")
    return int(digits, 8)
