"""The packets of SFTP version 3: their types and codes, and the fields in them.

draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from airgap.transport.port import ProtocolError

__all__ = ["Attributes", "Reply", "pack_string", "pack_u32", "pack_u64", "protocol_error"]

_U32: Final = Struct(">I")
_U64: Final = Struct(">Q")

INIT, OPEN, CLOSE, READ, WRITE, FSTAT, FSETSTAT, OPENDIR, READDIR = 1, 3, 4, 5, 6, 8, 10, 11, 12
REMOVE, MKDIR, STAT, RENAME, EXTENDED = 13, 14, 17, 18, 200
VERSION, STATUS, HANDLE, DATA, NAME, ATTRIBUTES, EXTENDED_REPLY = 2, 101, 102, 103, 104, 105, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, NO_CONNECTION, CONNECTION_LOST = (
    *range(5),
    6,
    7,
)
UNSUPPORTED: Final = 8
FOR_READING, FOR_WRITING, CREATE, EXCLUSIVELY = 1, 2, 8, 32
HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 1, 2, 4, 8, 0x80000000
_TYPE_OF_MODE, _REGULAR = 0o170000, 0o100000

LIMITS, POSIX_RENAME, FSYNC, STATVFS = (
    f"{name}@openssh.com" for name in ("limits", "posix-rename", "fsync", "statvfs")
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a file, as far as the server sends them."""

    size: int | None
    mode: int | None

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file, or its type is unknown."""
        return self.mode is None or self.mode & _TYPE_OF_MODE in {0, _REGULAR}


class Reply:
    """One packet from the server, parsed from its front."""

    __slots__ = ("_left", "kind", "number")

    def __init__(self, packet: memoryview) -> None:
        """Parse its type and, except in the first packet, the number of its request."""
        self._left = packet
        self.kind = self._take(1)[0]
        self.number = 0 if self.kind == VERSION else self.u32()

    def u32(self) -> int:
        """Parse an unsigned integer of 4 bytes."""
        number: int = _U32.unpack(self._take(4))[0]
        return number

    def u64(self) -> int:
        """Parse an unsigned integer of 8 bytes."""
        number: int = _U64.unpack(self._take(8))[0]
        return number

    def string(self) -> memoryview:
        """Parse a string."""
        return self._take(self.u32())

    def attributes(self) -> Attributes:
        """Parse the attributes of a file."""
        flags = self.u32()
        size = self.u64() if flags & HAS_SIZE else None
        if flags & _HAS_OWNER:
            self.u64()
        mode = self.u32() if flags & _HAS_MODE else None
        if flags & _HAS_TIMES:
            self.u64()
        for _ in range(self.u32() if flags & _HAS_MORE else 0):
            self.string()
            self.string()
        return Attributes(size, mode)

    def __bool__(self) -> bool:
        """Whether anything is left to parse."""
        return bool(self._left)

    def _take(self, size: int) -> memoryview:
        if size > len(self._left):
            raise protocol_error("a packet that ends early")
        field, self._left = self._left[:size], self._left[size:]
        return field


def pack_string(data: bytes) -> bytes:
    """Encode a string: its length, then its bytes."""
    return _U32.pack(len(data)) + data


def pack_u32(number: int) -> bytes:
    """Encode an unsigned integer of 4 bytes."""
    return _U32.pack(number)


def pack_u64(number: int) -> bytes:
    """Encode an unsigned integer of 8 bytes."""
    return _U64.pack(number)


def protocol_error(what: str) -> ProtocolError:
    """Make the error of a reply that breaks the protocol, as a damaged connection also would."""
    return ProtocolError(
        f"The server sent {what}.", "If this happens again, the server is not a usable SFTP server."
    )
