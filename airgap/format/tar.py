"""The tar headers of a ``.airgap`` file: one form for each member (format §9)."""

import re
from typing import Final

from airgap.errors import CorruptError

__all__ = ["BLOCK", "END", "PADDING_NAME", "make_header", "parse_header", "round_to_block"]

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
PADDING_NAME: Final = "padding"

_NAME_BYTES: Final = 100
_NAME = re.compile(rb"([\x21-\x7e]{1,100})\x00*")
_PREFIX = re.compile(rb"([\x21-\x7e]{0,155})\x00*")
_SIZE = re.compile(rb"[0-7]{11}\x00")


def round_to_block(size: int) -> int:
    """Round a size in bytes up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def make_header(name: str, size: int) -> bytes:
    """Make the POSIX ustar header of a regular file of ``size`` bytes, of user 0 and from 1970.

    A name of more than 100 bytes is split at its last slash into prefix and name.
    """
    prefix, _, short = name.rpartition("/") if len(name) > _NAME_BYTES else ("", "", name)
    fields = (
        short.encode().ljust(_NAME_BYTES, b"\0"),
        b"0000644\0",  # mode
        b"0000000\0",  # uid
        b"0000000\0",  # gid
        b"%011o\0" % size,
        b"00000000000\0",  # mtime
        b" " * 8,  # checksum, below
        b"0",  # a regular file
        bytes(100),  # link name
        b"ustar\x0000",
        bytes(32 + 32),  # user and group name
        b"0000000\0" * 2,  # device
        prefix.encode().ljust(155, b"\0"),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def parse_header(block: bytes) -> tuple[str, int] | None:
    """Return a member's name and size, or None at the end of the archive.

    Raises:
        CorruptError: any of the 512 bytes differs from format §9.
    """
    if block == bytes(BLOCK):
        return None
    name, prefix = _NAME.fullmatch(block[:_NAME_BYTES]), _PREFIX.fullmatch(block[345:500])
    if len(block) == BLOCK and name and prefix and _SIZE.fullmatch(block[124:136]):
        text = (prefix[1] + b"/" + name[1] if prefix[1] else name[1]).decode()
        size = int(block[124:135], 8)
        if make_header(text, size) == block:
            return text, size
    raise CorruptError(
        "The .airgap file is damaged or truncated, or was made by another tool.",
        "Copy it again. If it is a depot packed with tar, unpack it and give the folder.",
    )
