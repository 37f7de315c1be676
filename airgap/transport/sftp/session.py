"""SFTP version 3 over a stream: the requests that a depot needs, with strictly parsed replies.

draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions. Whatever a server replies,
memory holds no more than was requested, and only a status counts as success.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from struct import Struct
from typing import Final, Protocol

from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import TransientError

__all__ = ["Attributes", "EndOfFileError", "Reply", "Session", "SftpRefusedError", "Stream"]

_U32: Final = Struct(">I")
_U64: Final = Struct(">Q")
_HEAD: Final = Struct(">IBI")
_MAX_PACKET_BYTES: Final = 256 * 1024
_VERSION: Final = 3
_MAX_EXTENSIONS: Final = 100
_MOST_REPEATED: Final = 1000

INIT, OPEN, CLOSE, READ, WRITE, FSTAT, FSETSTAT, OPENDIR, READDIR = 1, 3, 4, 5, 6, 8, 10, 11, 12
REMOVE, MKDIR, STAT, RENAME, EXTENDED = 13, 14, 17, 18, 200
VERSION, STATUS, HANDLE, DATA, NAME, ATTRIBUTES, EXTENDED_REPLY = 2, 101, 102, 103, 104, 105, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, NO_CONNECTION, CONNECTION_LOST = (
    *range(5),
    6,
    7,
)
UNSUPPORTED: Final = 8
_FULL: Final = {14, 15}  # of version 5 and later, sent by some in version 3 too
FOR_READING, FOR_WRITING, CREATE, EXCLUSIVELY = 1, 2, 8, 32
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 1, 2, 4, 8, 0x80000000
_TYPE_OF_MODE, _REGULAR = 0o170000, 0o100000

_REASONS: Final = {
    NO_SUCH_FILE: "its parent folder does not exist",
    PERMISSION_DENIED: "permission denied",
    FAILURE: "general failure",
    5: "bad message",
    UNSUPPORTED: "operation not supported",
}
LIMITS, POSIX_RENAME, FSYNC, STATVFS = (
    f"{name}@openssh.com" for name in ("limits", "posix-rename", "fsync", "statvfs")
)


class Stream(Protocol):
    """A connection that carries packets."""

    def send(self, data: bytes | memoryview) -> None:
        """Send all bytes."""
        ...

    def receive(self) -> memoryview:
        """Return the next bytes, at least one."""
        ...

    def ready(self) -> bool:
        """Return whether ``receive`` would return at once."""
        ...

    def limit_time(self, seconds: float) -> None:
        """End the connection after this time, whatever happens until then."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class SftpRefusedError(TransportError):
    """The server replied to a request with an error; the connection is still usable."""

    def __init__(self, code: int, action: str) -> None:
        """Keep the status code (filexfer-02 §7)."""
        super().__init__(
            f"The server refused to {action}: {_REASONS.get(code, f'error {code}')}.",
            "Check the path and its permissions.",
        )
        self.code = code

    @property
    def disk_full(self) -> bool:
        """Whether the status says that the disk or the quota is full."""
        return self.code in _FULL


class EndOfFileError(SftpRefusedError):
    """There are no more bytes, or no more names."""


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
        size = self.u64() if flags & _HAS_SIZE else None
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


class Session:
    """Requests and their replies. After a ``TransientError`` only ``close`` may be called."""

    def __init__(self, stream: Stream, speed: LeastSpeed | None = None) -> None:
        """Negotiate the version; ``speed`` measures the server.

        Raises:
            TransientError: the connection ended.
            TransportError: the server does not speak SFTP version 3.
        """
        self._stream = stream
        self.speed = speed or LeastSpeed("The SSH connection")
        """Measures the server: from its beginning for each request, or each whole transfer."""
        self._last_number = self._unreplyed = 0
        self._rest = memoryview(b"")
        stream.send(_U32.pack(5) + bytes([INIT]) + _U32.pack(_VERSION))
        self._unreplyed = 1
        reply = self.receive()
        if reply.kind != VERSION or reply.u32() != _VERSION:
            raise protocol_error("an SFTP version other than 3")
        self.extensions: Mapping[str, bytes] = dict(_parse_extensions(reply))

    def send(self, kind: int, *parts: bytes | memoryview) -> int:
        """Send a request, and return its number."""
        self._last_number = (self._last_number + 1) & 0xFFFFFFFF
        size = 5 + sum(map(len, parts))
        self._unreplyed += 1
        self._stream.send(b"".join([_HEAD.pack(size, kind, self._last_number), *parts]))
        return self._last_number

    def receive(self) -> Reply:
        """Return the next reply, to whichever request."""
        size = _U32.unpack(self._receive_exactly(4))[0]
        if not 0 < size <= _MAX_PACKET_BYTES:
            raise protocol_error(f"a packet of {size:,} bytes")
        reply = Reply(self._receive_exactly(size))
        self._unreplyed -= 1
        return reply

    @property
    def idle(self) -> bool:
        """Whether every request has been answered: only then another can be sent and awaited."""
        return not self._unreplyed

    def ready(self) -> bool:
        """Return whether something has arrived."""
        return bool(self._rest) or self._stream.ready()

    def limit_time(self, seconds: float) -> None:
        """End the connection after this time, whatever happens until then."""
        self._stream.limit_time(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def open(self, path: bytes, flags: int, action: str) -> bytes:
        """Open a file, and return its handle.

        Raises:
            MissingError: the file or a parent folder does not exist.
            SftpRefusedError: anything else.
        """
        reply = self._request(OPEN, pack_string(path), _U32.pack(flags), _U32.pack(0))
        return bytes(self.expect(reply, HANDLE, action).string())

    @contextmanager
    def closing(self, handle: bytes) -> Iterator[bytes]:
        """Close a handle at the end of the block, if the connection still allows it."""
        try:
            yield handle
        except BaseException:
            if self.idle:
                with suppress(AirgapError):
                    self._close(handle)
            raise
        self._close(handle)

    def stat(self, path: bytes) -> Attributes | None:
        """Return the attributes of a file by path; None if it does not exist."""
        action = "tell a file's size"
        try:
            reply = self._request(STAT, pack_string(path))
            return self.expect(reply, ATTRIBUTES, action).attributes()
        except MissingError:
            return None

    def handle_size(self, handle: bytes) -> int:
        """Return the size of an open file in bytes."""
        action = "tell a file's size"
        reply = self._request(FSTAT, pack_string(handle))
        size = self.expect(reply, ATTRIBUTES, action).attributes().size
        if size is None:
            raise protocol_error("attributes without a size")
        return size

    def truncate(self, handle: bytes, size: int) -> None:
        """Cut an open file to a size."""
        attributes = _U32.pack(_HAS_SIZE) + _U64.pack(size)
        action = "cut a file"
        self.expect_ok(self._request(FSETSTAT, pack_string(handle), attributes), action)

    def sync(self, handle: bytes) -> None:
        """Flush an open file to the server's disk, if the server supports that."""
        if FSYNC in self.extensions:
            action = "write a file to its disk"
            reply = self._request(EXTENDED, pack_string(FSYNC.encode()), pack_string(handle))
            self.expect_ok(reply, action)

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file to a name that is not taken (filexfer-02 section 6.5)."""
        action = "rename a file"
        self.expect_ok(self._request(RENAME, pack_string(old), pack_string(new)), action)

    def replace(self, old: bytes, new: bytes) -> None:
        """Rename a file over another; without posix-rename the name is missing for a moment."""
        action = "rename a file"
        if POSIX_RENAME in self.extensions:
            name = pack_string(POSIX_RENAME.encode())
            self.expect_ok(
                self._request(EXTENDED, name, pack_string(old), pack_string(new)), action
            )
            return
        self.remove(new)
        self.rename(old, new)

    def remove(self, path: bytes) -> None:
        """Remove a file; a missing one is not an error."""
        action = "remove a file"
        try:
            self.expect_ok(self._request(REMOVE, pack_string(path)), action)
        except MissingError:
            return

    def make_folder(self, path: bytes) -> None:
        """Make a folder; raises as ``open``."""
        action = "make a folder"
        self.expect_ok(self._request(MKDIR, pack_string(path), _U32.pack(0)), action)

    def list_names(self, path: bytes, limit: int) -> list[bytes]:
        """List a folder; ``.`` and ``..`` are left out.

        Raises:
            MissingError: the folder does not exist.
            CorruptError: it holds more names than the limit, or impossible ones.
            SftpRefusedError: anything else.
        """
        action = "list a folder"
        reply = self._request(OPENDIR, pack_string(path))
        handle = bytes(self.expect(reply, HANDLE, action).string())
        names: list[bytes] = []
        distinct: set[bytes] = set()
        received = 0
        with self.closing(handle):
            while more := self._read_names(handle):
                received += len(more)
                distinct.update(more)
                names += (name for name in more if name not in {b".", b".."})
                # a folder that changes may list a name twice, but "." and ".." come once
                if len(names) > limit or received - len(distinct) > _MOST_REPEATED:
                    raise CorruptError(
                        f"The folder holds more than {limit:,} names, or lists them again and"
                        " again.",
                        "Remove files that do not belong to a bundle, or check the server.",
                    )
        return names

    def free_bytes(self, path: bytes) -> int | None:
        """Return the free bytes of a folder's disk; None if the server does not support that."""
        if STATVFS not in self.extensions:
            return None
        action = "tell its free space"
        reply = self._request(EXTENDED, pack_string(STATVFS.encode()), pack_string(path))
        self.expect(reply, EXTENDED_REPLY, action)
        _, fragment, _, _, available = (reply.u64() for _ in range(5))
        return fragment * available

    def limits(self) -> tuple[int, int]:
        """Return the largest read and write in bytes; zeros if the server does not say."""
        if LIMITS not in self.extensions:
            return 0, 0
        action = "tell its limits"
        reply = self.expect(
            self._request(EXTENDED, pack_string(LIMITS.encode())), EXTENDED_REPLY, action
        )
        reply.u64()
        return reply.u64(), reply.u64()

    def expect(self, reply: Reply, kind: int, action: str) -> Reply:
        """Return a reply if it is of the expected type; raises as ``open``."""
        if reply.kind == STATUS:
            _raise_status(reply.u32(), action)
        if reply.kind != kind:
            raise protocol_error(f"a reply of type {reply.kind}")
        return reply

    def expect_ok(self, reply: Reply, action: str) -> None:
        """Check that a request succeeded; raises as ``open``."""
        if reply.kind != STATUS:
            raise protocol_error(f"a reply of type {reply.kind}")
        code = reply.u32()
        if code != OK:
            _raise_status(code, action)

    def _close(self, handle: bytes) -> None:
        self.expect_ok(self._request(CLOSE, pack_string(handle)), "close a file")

    def _request(self, kind: int, *parts: bytes) -> Reply:
        self.speed.restart()
        return self._ask(kind, *parts)

    def _ask(self, kind: int, *parts: bytes) -> Reply:
        number = self.send(kind, *parts)
        reply = self.receive()
        if reply.number != number:
            raise protocol_error("a reply to no request")
        return reply

    def _read_names(self, handle: bytes) -> list[bytes]:
        """Read the next names of a folder; none at its end."""
        reply = self._ask(READDIR, pack_string(handle))  # one speed for the whole listing
        try:
            self.expect(reply, NAME, "list a folder")
        except EndOfFileError:
            return []
        names = []
        for _ in range(reply.u32()):
            names.append(bytes(reply.string()))
            reply.string()  # as `ls -l` shows it
            reply.attributes()
        if not names:
            raise protocol_error("an empty part of a folder")
        if any(b"/" in name or b"\0" in name or not name for name in names):
            raise CorruptError(
                "The server lists a name that no file can have.",
                "The server, or the network, is hostile or broken: do not use it.",
            )
        return names

    def _receive_exactly(self, size: int) -> memoryview:
        """Receive ``size`` bytes; they are not copied if they arrived in one piece."""
        pieces: list[memoryview] = []
        while True:
            piece = self._rest or self._receive_piece()
            pieces.append(piece[:size])
            self._rest = piece[size:]
            size -= len(pieces[-1])
            if not size:
                return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    def _receive_piece(self) -> memoryview:
        with self.speed.waiting():
            piece = self._stream.receive()
        self.speed.count(len(piece))
        return piece


def pack_string(data: bytes) -> bytes:
    """Encode a string: its length, then its bytes."""
    return _U32.pack(len(data)) + data


def pack_u32(number: int) -> bytes:
    """Encode an unsigned integer of 4 bytes."""
    return _U32.pack(number)


def pack_u64(number: int) -> bytes:
    """Encode an unsigned integer of 8 bytes."""
    return _U64.pack(number)


def protocol_error(what: str) -> TransientError:
    """Report a violation of the protocol: transient, as a damaged connection looks the same."""
    return TransientError(
        f"The server sent {what}.", "If this happens again, the server is not a usable SFTP server."
    )


def _parse_extensions(reply: Reply) -> Iterator[tuple[str, bytes]]:
    for _ in range(_MAX_EXTENSIONS):
        if not reply:
            return
        yield bytes(reply.string()).decode("ascii", "replace"), bytes(reply.string())


def _raise_status(code: int, action: str) -> None:
    if code == NO_SUCH_FILE:
        raise MissingError("It does not exist.", "Check its name and the path.")
    if code in {NO_CONNECTION, CONNECTION_LOST}:
        raise TransientError("The server lost its own connection.", "Try again.")
    raise (EndOfFileError if code == EOF else SftpRefusedError)(code, action)
