"""Attachments at the end of a ``.airgap`` file's padding, which older readers skip (format §24)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from airgap.errors import ConflictError, CorruptError
from airgap.format import limits, tar
from airgap.format.attachment import Allowance, parse_attachment_file, size_limit

__all__ = ["Padding", "make_attachment", "make_member", "read_padding"]

_ZEROS: Final = bytes(tar.BLOCK)


class Padding(NamedTuple):
    """What a padding holds: ``room`` bytes without meaning, in whole blocks, then attachments."""

    room: int
    attachments: Mapping[str, bytes]


def read_padding(read: Callable[[int], bytes], size: int, folder: str) -> Padding:
    """Read a padding of ``size`` bytes, and the zeros after it, to its end.

    Args:
        read: returns exactly so many of the next bytes, or raises.
        size: of the member, in bytes.
        folder: the bundle's folder within the depot, with a slash at its end.
    """
    left = whole = size - size % tar.BLOCK
    room: int | None = None
    attachments: dict[str, bytes] = {}
    allowance = Allowance()
    while left:
        block = read(tar.BLOCK)
        left -= tar.BLOCK
        member = _parse(block, folder, left) if block != _ZEROS else None
        if member is None:
            continue
        room = whole - left - tar.BLOCK if room is None else room
        data = read(tar.round_to_block(member.size))
        left -= len(data)
        is_clean = member.file not in attachments and not data[member.size :].strip(b"\0")
        if is_clean and 0 < member.size <= allowance.limit(member.file):
            attachments[member.file] = data[: member.size]
            allowance.take(member.file, member.size)
    read(tar.round_to_block(size % tar.BLOCK))
    return Padding(whole if room is None else room, attachments)


class _AttachedHeader(NamedTuple):
    """The header of an attachment: its file name, and its size in bytes."""

    file: str
    size: int


def _parse(block: bytes, folder: str, left: int) -> _AttachedHeader | None:
    """Parse the header of an attachment of which all the data follows in ``left`` bytes."""
    try:
        parsed = tar.parse_header(block)
    except CorruptError:
        return None
    if parsed is None or not parsed[0].startswith(folder):
        return None
    file, size = parsed[0].removeprefix(folder), parsed[1]
    kind = parse_attachment_file(file)
    if kind is None or size > size_limit(kind) or tar.round_to_block(size) > left:
        return None
    return _AttachedHeader(file, size)


def make_attachment(padding: Padding, name: str, data: bytes, path: Path) -> bytes | None:
    """Return the member to put before the first attachment; None if exactly this one is there.

    Args:
        padding: what the padding holds now.
        name: of the attachment, within the depot.
        data: its bytes.
        path: of the file, for messages.

    Raises:
        ConflictError: no room is left, or another attachment of this name is there.
    """
    file = name.rpartition("/")[2]
    if file in padding.attachments:
        if padding.attachments[file] == data:
            return None
        raise ConflictError(
            f"{path} has another attachment {file}.", "Copy the file from its source again."
        )
    allowance = Allowance()
    for other, content in padding.attachments.items():
        allowance.take(other, len(content))
    member = make_member(name, data)
    if len(member) > padding.room or not 0 < len(data) <= allowance.limit(file):
        raise ConflictError(
            f"{path} has no room for an attachment of {len(data):,} bytes: it has"
            f" {max(0, padding.room - tar.BLOCK):,} left.",
            f"Make a copy with room: `airgap copy {path} NEW.airgap --room SIZE`. A depot needs"
            f" none: it takes {limits.ATTACHMENTS_BYTES // limits.MIB} MiB.",
        )
    return member


def make_member(name: str, data: bytes) -> bytes:
    """Return a member of the tar: header, bytes, and zeros to the next block."""
    return (
        tar.make_header(name, len(data)) + data + bytes(tar.round_to_block(len(data)) - len(data))
    )
