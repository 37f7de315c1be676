"""An SFTP server without a network: honest, until a test answers something in its place."""

import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from airgap.transport.port import TransientError
from airgap.transport.sftp import packets as wire
from airgap.transport.sftp.packets import pack_string, pack_u32, pack_u64

__all__ = ["Asked", "SftpDouble", "data", "name_list", "packet", "status"]

REGULAR = 0o100644


@dataclass(frozen=True)
class Asked:
    """One request: its type, number, and what it holds."""

    kind: int
    number: int
    body: bytes

    def strings(self) -> list[bytes]:
        """The strings at its beginning."""
        found, left = [], self.body
        while len(left) >= 4 and (size := int.from_bytes(left[:4], "big")) <= len(left) - 4:
            found.append(left[4 : 4 + size])
            left = left[4 + size :]
        return found

    def read_span(self) -> tuple[int, int]:
        """Offset and length of a READ."""
        offset, length = struct.unpack(">QI", self.body[-12:])
        return offset, length


Answer = Callable[[Asked], bytes | Iterable[bytes] | None]


@dataclass
class SftpDouble:
    """Fills ``Stream``. ``instead`` may answer a request; with None the honest answer is given."""

    files: dict[bytes, bytearray] = field(default_factory=dict)
    instead: Answer = lambda _: None
    extensions: dict[str, str] = field(default_factory=dict)
    hello: bytes | None = None
    asked: list[Asked] = field(default_factory=list)
    most_waiting: int = 0
    closed: bool = False
    time_limit: float | None = None
    patient: bool = False
    """Whether to answer only when there is nothing else to do: the client then runs far ahead."""
    waiting: deque[bytes] = field(default_factory=deque)

    def send(self, data: bytes | memoryview) -> None:
        sent = bytes(data)
        assert len(sent) == int.from_bytes(sent[:4], "big") + 4
        if sent[4] == wire.INIT:
            self.waiting.clear()
            self.waiting.append(self.hello or self._hello())
            return
        request = Asked(sent[4], int.from_bytes(sent[5:9], "big"), sent[9:])
        self.asked.append(request)
        answer = self.instead(request)
        found = self._honest(request) if answer is None else answer
        self.waiting.extend([found] if isinstance(found, bytes) else found)
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def receive(self) -> memoryview:
        if not self.waiting:
            raise TransientError("It ended.", "Again.")
        return memoryview(self.waiting.popleft())

    def ready(self) -> bool:
        return bool(self.waiting) and not self.patient

    def limit_time(self, seconds: float) -> None:
        self.time_limit = seconds

    def close(self) -> None:
        self.closed = True

    def kinds(self) -> list[int]:
        return [request.kind for request in self.asked]

    def _hello(self) -> bytes:
        pairs = b"".join(
            pack_string(name.encode()) + pack_string(value.encode())
            for name, value in self.extensions.items()
        )
        return pack_u32(5 + len(pairs)) + bytes([wire.VERSION]) + pack_u32(3) + pairs

    def _honest(self, request: Asked) -> bytes:
        answers: dict[int, Callable[[Asked, bytes], bytes]] = {
            wire.OPEN: self._open,
            wire.READ: self._read,
            wire.WRITE: self._write,
            wire.STAT: self._stat,
            wire.FSTAT: self._stat,
            wire.FSETSTAT: self._truncate,
            wire.RENAME: self._rename,
            wire.REMOVE: self._remove,
            wire.OPENDIR: lambda request, path: packet(wire.HANDLE, request, pack_string(path)),
            wire.READDIR: lambda request, _: status(request, wire.EOF),
        }
        name = (request.strings() or [b""])[0]
        answer = answers.get(request.kind)
        return answer(request, name) if answer else status(request, wire.OK)

    def _read(self, request: Asked, name: bytes) -> bytes:
        offset, length = request.read_span()
        found = self.files[name][offset : offset + length]
        return data(request, bytes(found)) if found else status(request, wire.EOF)

    def _write(self, request: Asked, name: bytes) -> bytes:
        rest = request.body[4 + len(name) :]
        offset = int.from_bytes(rest[:8], "big")
        file = self.files[name]
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(rest) - 12] = rest[12:]
        return status(request, wire.OK)

    def _stat(self, request: Asked, name: bytes) -> bytes:
        if name not in self.files:
            return status(request, wire.NO_SUCH_FILE)
        size = pack_u64(len(self.files[name]))
        return packet(wire.ATTRIBUTES, request, pack_u32(5), size, pack_u32(REGULAR))

    def _truncate(self, request: Asked, name: bytes) -> bytes:
        del self.files[name][int.from_bytes(request.body[-8:], "big") :]
        return status(request, wire.OK)

    def _rename(self, request: Asked, name: bytes) -> bytes:
        new = request.strings()[1]
        if new in self.files:
            return status(request, wire.FAILURE)
        self.files[new] = self.files.pop(name)
        return status(request, wire.OK)

    def _remove(self, request: Asked, name: bytes) -> bytes:
        found = self.files.pop(name, None)
        return status(request, wire.OK if found is not None else wire.NO_SUCH_FILE)

    def _open(self, request: Asked, path: bytes) -> bytes:
        flags = int.from_bytes(request.body[4 + len(path) :][:4], "big")
        if flags & wire.CREATE:
            self.files.setdefault(path, bytearray())
        if path not in self.files:
            return status(request, wire.NO_SUCH_FILE)
        return packet(wire.HANDLE, request, pack_string(path))


def packet(kind: int, request: Asked, *parts: bytes) -> bytes:
    """Write an answer to a request."""
    body = bytes([kind]) + pack_u32(request.number) + b"".join(parts)
    return pack_u32(len(body)) + body


def status(request: Asked, code: int) -> bytes:
    return packet(
        wire.STATUS,
        request,
        pack_u32(code),
        pack_string(b"words of the server"),
        pack_string(b"en"),
    )


def data(request: Asked, content: bytes) -> bytes:
    return packet(wire.DATA, request, pack_string(content))


def name_list(request: Asked, *names: bytes) -> bytes:
    """Write a piece of a listing, with all attributes that there are."""
    attributes = (
        pack_u32(0x8000000F)
        + pack_u64(1)
        + pack_u64(2)
        + pack_u32(REGULAR)
        + pack_u64(3)
        + pack_u32(1)
    )
    attributes += pack_string(b"x@y") + pack_string(b"z")
    entries = (
        pack_string(name) + pack_string(b"-rw-r--r-- " + name) + attributes for name in names
    )
    return packet(wire.NAME, request, pack_u32(len(names)), *entries)
