"""A server in memory whose connections break, lie and flip bytes as a test demands."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from airgap.errors import CorruptError, MissingError
from airgap.transport import names
from airgap.transport.port import Capabilities, Pace, Sink, Stored, TransientError, Transport
from tests.servers.proxy import Proxy

__all__ = ["MemoryFiles", "MemoryServer", "MemoryTransport", "serve"]

PIECE = 64 * 1024
Spoil = Callable[[str, int, bytes], bytes]
"""Takes a name, an offset and the bytes that are sent; returns those that arrive."""


@dataclass
class MemoryFiles:
    """The files of a server, what it has sent and taken, and what goes wrong.

    ``breaks`` lists after how many bytes (or, at 0, before any) connections break off: each number
    is for one transfer, in order; -1 lets one pass.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    sent: int = 0
    taken: int = 0
    connections: int = 0
    spoil: Spoil = lambda _name, _offset, data: data
    lock: threading.Lock = field(default_factory=threading.Lock)

    def broken_after(self) -> int:
        with self.lock:
            after = self.breaks.pop(0) if self.breaks else -1
        return after if after >= 0 else 1 << 60


class MemoryTransport:
    """Fills ``Transport`` with a ``Shop``. A connection that broke stays broken."""

    object_lock: None = None
    capabilities = Capabilities(
        resumes_uploads=True, replaces_atomically=True, creates_exclusively=True
    )

    def __init__(self, server: MemoryFiles, folder: str = "") -> None:
        self.location = "memory://server"
        self.server = server
        self.folder = folder
        self.broken = False
        server.connections += 1

    def size(self, name: str) -> int | None:
        path = self._path(names.check_name(name), "size")
        found = self.server.files.get(path)
        return None if found is None else len(found)

    def list(self, folder: str, limit: int) -> list[str]:
        path = self._path(names.check_folder_name(folder), "list")
        below = f"{path}/" if path else ""
        found = {
            name.removeprefix(below).partition("/")[0]
            for name in list(self.server.files)
            if name.startswith(below)
        }
        if len(found) > limit:
            raise CorruptError("There are too many names.", "Remove some.")
        return sorted(found)

    def get(self, name: str, sink: Sink, offset: int = 0, length: int | None = None) -> int:
        path = self._path(names.check_name(name), "get")
        if path not in self.server.files:
            raise MissingError(f"{name} is not there.", "Look.")
        data = self.server.files[path][offset:][:length]
        left = self.server.broken_after()
        sent = 0
        while sent < len(data):
            piece = data[sent : sent + min(PIECE, left - sent)]
            if not piece:
                self._break()
            sink(memoryview(self.server.spoil(name, offset + sent, piece)))
            sent += len(piece)
            with self.server.lock:
                self.server.sent += len(piece)
        return sent

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        path = self._path(names.check_name(name), "put")
        unfinished = self._path(names.check_name(part or names.name_part(name)), "part")
        if len(self.server.files.get(path, b"-" * (size + 1))) == size:
            return "exists"
        begun = len(self.server.files.get(unfinished, b""))
        begun = begun if begun <= size else 0
        data = source.read_bytes()
        self.server.files[unfinished] = self.server.files.get(unfinished, b"")[:begun]
        left = self.server.broken_after()
        for start in range(begun, size, PIECE):
            piece = data[start : start + min(PIECE, left - start + begun)]
            if pace:
                pace(len(piece))
            self.server.files[unfinished] += self.server.spoil(name, start, piece)
            with self.server.lock:
                self.server.taken += len(piece)
            if len(piece) < min(PIECE, size - start):
                self._break()
        self.server.files[path] = self.server.files.pop(unfinished)
        return "resumed" if begun else "stored"

    def publish(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        path = self._path(names.check_name(name), "publish")
        after = self.server.broken_after()
        if after < len(data):
            self._break()
        with self.server.lock:
            if path in self.server.files and not replace:
                return False
            self.server.files[path] = self.server.spoil(name, 0, data)
        if after < 1 << 60:  # stored, and the answer is lost
            self._break()
        return True

    def delete(self, name: str) -> None:
        self.server.files.pop(self._path(names.check_name(name), "delete"), None)

    def clone(self) -> Transport:
        return MemoryTransport(self.server, self.folder)

    def close(self) -> None:
        self.broken = True

    def _path(self, name: str, call: str) -> str:
        if self.broken:
            raise TransientError("memory://server is not connected any more.", "Reconnect.")
        with self.server.lock:
            self.server.calls.append(f"{call} {name}")
        return "/".join(filter(None, (self.folder, name)))

    def _break(self) -> None:
        self.broken = True
        raise TransientError("memory://server broke.", "Reconnect.")


class MemoryServer:
    """Fills ``Server``, so that the contract holds for what other tests build on."""

    def __init__(self) -> None:
        self.server = MemoryFiles()

    def open(self, folder: str, proxy: Proxy | None = None) -> Transport:
        assert proxy is None
        return MemoryTransport(self.server, folder)

    def files(self, folder: str) -> dict[str, bytes]:
        return {
            name.removeprefix(f"{folder}/"): data
            for name, data in self.server.files.items()
            if name.startswith(f"{folder}/")
        }

    def plant(self, folder: str, name: str, data: bytes) -> None:
        self.server.files[f"{folder}/{name}"] = data

    def proxy(self) -> Proxy | None:
        return None


@contextmanager
def serve(top: Path) -> Iterator[MemoryServer]:
    """Serve from memory: the folder is not needed."""
    del top
    yield MemoryServer()
