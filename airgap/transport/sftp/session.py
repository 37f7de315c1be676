"""SFTP, version 3, over a stream: the requests that a depot needs, and answers read strictly.

draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions. Whatever a server answers,
no more is held in memory than was asked for, and nothing of it is taken for true but its status.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from struct import Struct
from typing import Final, Protocol

from airgap.errors import AirgapError, CorruptError, MissingError, TransportError
from airgap.transport.port import TransientError

__all__ = ["Attributes", "EndOfFileError", "Reply", "Session", "SftpRefusedError", "Stream"]

_U32: Final = Struct(">I")
_U64: Final = Struct(">Q")
_HEAD: Final = Struct(">IBI")
_MAX_PACKET_BYTES: Final = 256 * 1024
_VERSION: Final = 3
_MAX_EXTENSIONS: Final = 100

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
    NO_SUCH_FILE: "there is nothing to make it in",
    PERMISSION_DENIED: "permission denied",
    FAILURE: "it failed",
    5: "it did not understand",
    UNSUPPORTED: "it cannot do that",
}
LIMITS, POSIX_RENAME, FSYNC, STATVFS = (
    f"{one}@openssh.com" for one in ("limits", "posix-rename", "fsync", "statvfs")
)


class Stream(Protocol):
    """Where the packets go to and come from."""

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        ...

    def receive(self) -> memoryview:
        """Return the next bytes, at least one."""
        ...

    def ready(self) -> bool:
        """Tell whether ``receive`` would return at once."""
        ...

    def hurry(self, seconds: float) -> None:
        """Let the connection end after this time, whatever is done until then."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class SftpRefusedError(TransportError):
    """The server answered a request with an error; the connection is good."""

    def __init__(self, code: int, doing: str) -> None:
        """Keep the code of the answer (filexfer-02 §7)."""
        super().__init__(
            f"The server refused to {doing}: {_REASONS.get(code, f'error {code}')}.",
            "Check the path and who may write there.",
        )
        self.code = code

    @property
    def full(self) -> bool:
        """Whether it said so itself that its disk or the quota is full."""
        return self.code in _FULL


class EndOfFileError(SftpRefusedError):
    """There are no more bytes, or no more names."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is told of a file."""

    size: int | None
    mode: int | None

    @property
    def regular(self) -> bool:
        """Whether it is a file, as far as it is told."""
        return self.mode is None or self.mode & _TYPE_OF_MODE in {0, _REGULAR}


class Reply:
    """One packet from the server, taken apart from its front."""

    __slots__ = ("_left", "kind", "number")

    def __init__(self, packet: memoryview) -> None:
        """Read its type and, but for the first of all, the request that it answers."""
        self._left = packet
        self.kind = self._take(1)[0]
        self.number = 0 if self.kind == VERSION else self.u32()

    def u32(self) -> int:
        """Take a number of 4 bytes."""
        number: int = _U32.unpack(self._take(4))[0]
        return number

    def u64(self) -> int:
        """Take a number of 8 bytes."""
        number: int = _U64.unpack(self._take(8))[0]
        return number

    def string(self) -> memoryview:
        """Take a string: it may lie anywhere up to the packet's end."""
        return self._take(self.u32())

    def attributes(self) -> Attributes:
        """Take a file's attributes."""
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
        """Whether there is more to take."""
        return bool(self._left)

    def _take(self, size: int) -> memoryview:
        if size > len(self._left):
            raise protocol_error("a packet that ends early")
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class Session:
    """Requests and their answers. ``close`` is the only thing to do after a ``BrokenOffError``."""

    def __init__(self, stream: Stream) -> None:
        """Agree on the version.

        Raises:
            BrokenOffError: the connection ended.
            TransportError: it is not SFTP, or not version 3.
        """
        self._stream = stream
        self._last = self._open_requests = 0
        self._rest = memoryview(b"")
        stream.send(_U32.pack(5) + bytes([INIT]) + _U32.pack(_VERSION))
        self._open_requests = 1
        answer = self.receive()
        if answer.kind != VERSION or answer.u32() != _VERSION:
            raise protocol_error("another version of SFTP than 3")
        self.extensions: Mapping[str, bytes] = dict(_parse_extensions(answer))

    def send(self, kind: int, *parts: bytes | memoryview) -> int:
        """Send a request, and return its number."""
        self._last = (self._last + 1) & 0xFFFFFFFF
        size = 5 + sum(map(len, parts))
        self._open_requests += 1
        self._stream.send(b"".join([_HEAD.pack(size, kind, self._last), *parts]))
        return self._last

    def receive(self) -> Reply:
        """Return the next answer, to whichever request."""
        size = _U32.unpack(self._exactly(4))[0]
        if not 0 < size <= _MAX_PACKET_BYTES:
            raise protocol_error(f"a packet of {size:,} bytes")
        answer = Reply(self._exactly(size))
        self._open_requests -= 1
        return answer

    @property
    def in_step(self) -> bool:
        """Whether all that was asked was answered, so that something else can be asked."""
        return not self._open_requests

    def ready(self) -> bool:
        """Tell whether something has arrived."""
        return bool(self._rest) or self._stream.ready()

    def hurry(self, seconds: float) -> None:
        """Let the connection end after this time, whatever is done until then."""
        self._stream.hurry(seconds)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def open(self, path: bytes, flags: int, doing: str) -> bytes:
        """Open a file, and return its handle.

        Raises:
            MissingError: it, or a folder on the way, is not there.
            RefusedError: anything else.
        """
        answer = self._ask(OPEN, pack_string(path), _U32.pack(flags), _U32.pack(0))
        return bytes(self.expect(answer, HANDLE, doing).string())

    @contextmanager
    def closing(self, handle: bytes) -> Iterator[bytes]:
        """Close a file or folder in the end, if the connection is good for that."""
        try:
            yield handle
        except BaseException:
            if self.in_step:
                with suppress(AirgapError):
                    self._close(handle)
            raise
        self._close(handle)

    def stat(self, path: bytes) -> Attributes | None:
        """Ask about a file by name; None if it is not there."""
        doing = "tell a file's size"
        try:
            answer = self._ask(STAT, pack_string(path))
            return self.expect(answer, ATTRIBUTES, doing).attributes()
        except MissingError:
            return None

    def size_of(self, handle: bytes) -> int:
        """Ask how long an open file is."""
        doing = "tell a file's size"
        answer = self._ask(FSTAT, pack_string(handle))
        size = self.expect(answer, ATTRIBUTES, doing).attributes().size
        if size is None:
            raise protocol_error("no size of a file")
        return size

    def truncate(self, handle: bytes, size: int) -> None:
        """Cut an open file."""
        attributes = _U32.pack(_HAS_SIZE) + _U64.pack(size)
        doing = "cut a file"
        self.expect_ok(self._ask(FSETSTAT, pack_string(handle), attributes), doing)

    def sync(self, handle: bytes) -> None:
        """Let an open file survive a power cut there, if the server can do that."""
        if FSYNC in self.extensions:
            doing = "write a file to its disk"
            asked = self._ask(EXTENDED, pack_string(FSYNC.encode()), pack_string(handle))
            self.expect_ok(asked, doing)

    def rename(self, old: bytes, new: bytes) -> None:
        """Give a file another name that is free (filexfer-02 section 6.5)."""
        doing = "rename a file"
        self.expect_ok(self._ask(RENAME, pack_string(old), pack_string(new)), doing)

    def replace(self, old: bytes, new: bytes) -> None:
        """Give a file another name, free or not; between the two only if it cannot be avoided."""
        doing = "rename a file"
        if POSIX_RENAME in self.extensions:
            name = pack_string(POSIX_RENAME.encode())
            self.expect_ok(self._ask(EXTENDED, name, pack_string(old), pack_string(new)), doing)
            return
        self.remove(new)
        self.rename(old, new)

    def remove(self, path: bytes) -> None:
        """Remove a file; that it is not there is fine."""
        doing = "remove a file"
        try:
            self.expect_ok(self._ask(REMOVE, pack_string(path)), doing)
        except MissingError:
            return

    def make_folder(self, path: bytes) -> None:
        """Make a folder; raises as ``open``."""
        doing = "make a folder"
        self.expect_ok(self._ask(MKDIR, pack_string(path), _U32.pack(0)), doing)

    def names_in(self, path: bytes, limit: int) -> list[bytes]:
        """List a folder; ``.`` and ``..`` are left out.

        Raises:
            MissingError: it is not there.
            CorruptError: it has more names than the limit, or names that cannot be.
            RefusedError: anything else.
        """
        doing = "list a folder"
        answer = self._ask(OPENDIR, pack_string(path))
        handle = bytes(self.expect(answer, HANDLE, doing).string())
        names: list[bytes] = []
        with self.closing(handle):
            while more := self._some_names(handle):
                names += (one for one in more if one not in {b".", b".."})
                if len(names) > limit:
                    raise CorruptError(
                        f"The folder holds more than {limit:,} names.",
                        "Remove what is not a bundle's.",
                    )
        return names

    def free_bytes(self, path: bytes) -> int | None:
        """Ask how much room there is below a folder; None if the server does not tell."""
        if STATVFS not in self.extensions:
            return None
        doing = "tell its free space"
        answer = self._ask(EXTENDED, pack_string(STATVFS.encode()), pack_string(path))
        self.expect(answer, EXTENDED_REPLY, doing)
        _, fragment, _, _, available = (answer.u64() for _ in range(5))
        return fragment * available

    def limits(self) -> tuple[int, int]:
        """Ask how much may be read and written at once; zeros if the server does not tell."""
        if LIMITS not in self.extensions:
            return 0, 0
        doing = "tell its limits"
        answer = self.expect(
            self._ask(EXTENDED, pack_string(LIMITS.encode())), EXTENDED_REPLY, doing
        )
        answer.u64()
        return answer.u64(), answer.u64()

    def expect(self, answer: Reply, kind: int, doing: str) -> Reply:
        """Return an answer of the kind that was asked for; raises as ``open``."""
        if answer.kind == STATUS:
            _raise_status(answer.u32(), doing)
        if answer.kind != kind:
            raise protocol_error(f"an answer of type {answer.kind}")
        return answer

    def expect_ok(self, answer: Reply, doing: str) -> None:
        """Demand that a request was carried out; raises as ``open``."""
        if answer.kind != STATUS:
            raise protocol_error(f"an answer of type {answer.kind}")
        code = answer.u32()
        if code != OK:
            _raise_status(code, doing)

    def _close(self, handle: bytes) -> None:
        self.expect_ok(self._ask(CLOSE, pack_string(handle)), "close a file")

    def _ask(self, kind: int, *parts: bytes) -> Reply:
        number = self.send(kind, *parts)
        answer = self.receive()
        if answer.number != number:
            raise protocol_error("an answer to nothing that was asked")
        return answer

    def _some_names(self, handle: bytes) -> list[bytes]:
        """Read the next names of a folder; none at its end."""
        answer = self._ask(READDIR, pack_string(handle))
        try:
            self.expect(answer, NAME, "list a folder")
        except EndOfFileError:
            return []
        names = []
        for _ in range(answer.u32()):
            names.append(bytes(answer.string()))
            answer.string()  # as `ls -l` shows it
            answer.attributes()
        if not names:
            raise protocol_error("an empty piece of a folder")
        if any(b"/" in one or b"\0" in one or not one for one in names):
            raise CorruptError(
                "The server lists a name that no file can have.",
                "Something on the way, or the server, does harm: do not use it.",
            )
        return names

    def _exactly(self, size: int) -> memoryview:
        """Receive so many bytes: without copying them, if they came in one piece."""
        pieces: list[memoryview] = []
        while True:
            piece = self._rest or self._stream.receive()
            pieces.append(piece[:size])
            self._rest = piece[size:]
            size -= len(pieces[-1])
            if not size:
                return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))


def pack_string(data: bytes) -> bytes:
    """Write a string as SFTP does: its length first."""
    return _U32.pack(len(data)) + data


def pack_u32(number: int) -> bytes:
    """Write a number of 4 bytes."""
    return _U32.pack(number)


def pack_u64(number: int) -> bytes:
    """Write a number of 8 bytes."""
    return _U64.pack(number)


def protocol_error(what: str) -> TransientError:
    """Say that the server does not keep to the protocol. A damaged connection looks the same."""
    return TransientError(
        f"The server sent {what}.", "If that happens again, it is no SFTP server to be used."
    )


def _parse_extensions(answer: Reply) -> Iterator[tuple[str, bytes]]:
    for _ in range(_MAX_EXTENSIONS):
        if not answer:
            return
        yield bytes(answer.string()).decode("ascii", "replace"), bytes(answer.string())


def _raise_status(code: int, doing: str) -> None:
    if code == NO_SUCH_FILE:
        raise MissingError("It is not on the server.", "Check its name and the path.")
    if code in {NO_CONNECTION, CONNECTION_LOST}:
        raise TransientError("The server lost its own connection.", "Try again.")
    raise (EndOfFileError if code == EOF else SftpRefusedError)(code, doing)
