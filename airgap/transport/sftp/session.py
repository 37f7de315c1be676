"""SFTP version 3 over a stream: the requests that a depot needs, with strictly parsed replies.

Whatever a server replies, memory holds no more than was requested, and only a status counts as
success.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from struct import Struct
from typing import Final, Protocol

from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.sftp import packets
from airgap.transport.sftp.packets import (
    Attributes,
    Reply,
    pack_string,
    pack_u32,
    pack_u64,
    protocol_error,
)

__all__ = ["EndOfFileError", "Session", "SftpRefusedError", "Stream"]

_HEAD: Final = Struct(">IBI")
_MAX_PACKET_BYTES: Final = 256 * 1024
_VERSION: Final = 3
_MAX_EXTENSIONS: Final = 100
_MOST_REPEATED: Final = 1000
_FULL: Final = {14, 15}  # of version 5 and later, sent by some in version 3 too
_REASONS: Final = {
    packets.NO_SUCH_FILE: "its parent folder does not exist",
    packets.PERMISSION_DENIED: "permission denied",
    packets.FAILURE: "general failure",
    5: "bad message",
    packets.UNSUPPORTED: "operation not supported",
}


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
        stream.send(pack_u32(5) + bytes([packets.INIT]) + pack_u32(_VERSION))
        self._unreplyed = 1
        reply = self.receive()
        if reply.kind != packets.VERSION or reply.u32() != _VERSION:
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
        size = int.from_bytes(self._receive_exactly(4))
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
        reply = self._request(packets.OPEN, pack_string(path), pack_u32(flags), pack_u32(0))
        return bytes(self.expect(reply, packets.HANDLE, action).string())

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
            reply = self._request(packets.STAT, pack_string(path))
            return self.expect(reply, packets.ATTRIBUTES, action).attributes()
        except MissingError:
            return None

    def handle_size(self, handle: bytes) -> int:
        """Return the size of an open file in bytes."""
        action = "tell a file's size"
        reply = self._request(packets.FSTAT, pack_string(handle))
        size = self.expect(reply, packets.ATTRIBUTES, action).attributes().size
        if size is None:
            raise protocol_error("attributes without a size")
        return size

    def truncate(self, handle: bytes, size: int) -> None:
        """Cut an open file to a size."""
        attributes = pack_u32(packets.HAS_SIZE) + pack_u64(size)
        action = "cut a file"
        self.expect_ok(self._request(packets.FSETSTAT, pack_string(handle), attributes), action)

    def sync(self, handle: bytes) -> None:
        """Flush an open file to the server's disk, if the server supports that."""
        if packets.FSYNC in self.extensions:
            action = "write a file to its disk"
            reply = self._request(
                packets.EXTENDED, pack_string(packets.FSYNC.encode()), pack_string(handle)
            )
            self.expect_ok(reply, action)

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file to a name that is not taken (filexfer-02 section 6.5)."""
        action = "rename a file"
        self.expect_ok(self._request(packets.RENAME, pack_string(old), pack_string(new)), action)

    def replace(self, old: bytes, new: bytes) -> None:
        """Rename a file over another; without posix-rename the name is missing for a moment."""
        action = "rename a file"
        if packets.POSIX_RENAME in self.extensions:
            names = pack_string(old), pack_string(new)
            self.expect_ok(self._extended(packets.POSIX_RENAME, *names), action)
            return
        self.remove(new)
        self.rename(old, new)

    def remove(self, path: bytes) -> None:
        """Remove a file; a missing one is not an error."""
        action = "remove a file"
        try:
            self.expect_ok(self._request(packets.REMOVE, pack_string(path)), action)
        except MissingError:
            return

    def make_folder(self, path: bytes) -> None:
        """Make a folder; raises as ``open``."""
        action = "make a folder"
        self.expect_ok(self._request(packets.MKDIR, pack_string(path), pack_u32(0)), action)

    def list_names(self, path: bytes, limit: int) -> list[bytes]:
        """List a folder; ``.`` and ``..`` are left out.

        Raises:
            MissingError: the folder does not exist.
            CorruptError: it holds more names than the limit, or impossible ones.
            SftpRefusedError: anything else.
        """
        action = "list a folder"
        reply = self._request(packets.OPENDIR, pack_string(path))
        handle = bytes(self.expect(reply, packets.HANDLE, action).string())
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
        if packets.STATVFS not in self.extensions:
            return None
        action = "tell its free space"
        reply = self._request(
            packets.EXTENDED, pack_string(packets.STATVFS.encode()), pack_string(path)
        )
        self.expect(reply, packets.EXTENDED_REPLY, action)
        _, fragment, _, _, available = (reply.u64() for _ in range(5))
        return fragment * available

    def limits(self) -> tuple[int, int]:
        """Return the largest read and write in bytes; zeros if the server does not say."""
        if packets.LIMITS not in self.extensions:
            return 0, 0
        action = "tell its limits"
        reply = self.expect(
            self._request(packets.EXTENDED, pack_string(packets.LIMITS.encode())),
            packets.EXTENDED_REPLY,
            action,
        )
        reply.u64()
        return reply.u64(), reply.u64()

    def expect(self, reply: Reply, kind: int, action: str) -> Reply:
        """Return a reply if it is of the expected type; raises as ``open``."""
        if reply.kind == packets.STATUS:
            _raise_status(reply.u32(), action)
        if reply.kind != kind:
            raise protocol_error(f"a reply of type {reply.kind}")
        return reply

    def expect_ok(self, reply: Reply, action: str) -> None:
        """Check that a request succeeded; raises as ``open``."""
        if reply.kind != packets.STATUS:
            raise protocol_error(f"a reply of type {reply.kind}")
        code = reply.u32()
        if code != packets.OK:
            _raise_status(code, action)

    def _close(self, handle: bytes) -> None:
        self.expect_ok(self._request(packets.CLOSE, pack_string(handle)), "close a file")

    def _extended(self, name: str, *parts: bytes) -> Reply:
        return self._request(packets.EXTENDED, pack_string(name.encode()), *parts)

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
        reply = self._ask(packets.READDIR, pack_string(handle))  # one speed for the whole listing
        try:
            self.expect(reply, packets.NAME, "list a folder")
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


def _parse_extensions(reply: Reply) -> Iterator[tuple[str, bytes]]:
    for _ in range(_MAX_EXTENSIONS):
        if not reply:
            return
        yield bytes(reply.string()).decode("ascii", "replace"), bytes(reply.string())


def _raise_status(code: int, action: str) -> None:
    if code == packets.NO_SUCH_FILE:
        raise MissingError("It does not exist.", "Check its name and the path.")
    if code in {packets.NO_CONNECTION, packets.CONNECTION_LOST}:
        raise TransientError("The server lost its own connection.", "Try again.")
    raise (EndOfFileError if code == packets.EOF else SftpRefusedError)(code, action)
