"""An FTP server that replies as a test demands, and lies where a test wants it to.

It keeps its files in a dictionary. What it was sent is in ``commands``.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Reply", "ScriptedFtp"]

Reply = bytes | Iterable[bytes]
"""Bytes to be sent as they are, with line ends; others go piece by piece, perhaps for ever."""


@dataclass
class ScriptedFtp:
    """One server at 127.0.0.1; use it as a context manager."""

    files: dict[str, bytes] = field(default_factory=dict)
    says: dict[str, Reply] = field(default_factory=dict)
    """Answers by verb, in place of the right ones. "banner" is the first, "done" ends transfers."""
    sends: dict[str, Reply] = field(default_factory=dict)
    """What goes over the data connection, by verb, in place of the right data."""
    tls: ssl.SSLContext | None = None
    data_tls: ssl.SSLContext | None = None
    """For data alone, if it is another one."""
    implicit: bool = False
    passive: bytes = b"227 there (127,0,0,1,%d,%d)\r\n"
    extended: bytes = b"229 there (|||%d|)\r\n"
    commands: list[str] = field(default_factory=list)
    clear_data: bool = False
    """Whether data goes without TLS, though that was agreed on."""
    hangs_up: bool = False
    """Whether it ends its TLS data without a close_notify, as an attacker on the way could."""
    keeps: int | None = None
    """How many bytes of an upload it keeps, whatever it says."""
    refuses_resuming: dict[str, bytes] = field(default_factory=dict)
    """What it says to REST, or to a STOR that follows one."""
    renames_over: bool = True
    hides: list[str] = field(default_factory=list)
    """Names whose size it denies once each: another client creates them at that moment."""

    over: threading.Event = field(default_factory=threading.Event)
    """Set when it ends: what waits in an iterable waits for this."""

    def __enter__(self) -> Self:
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = self._listen()
        self._run(self._accept)
        return self

    def __exit__(self, *details: object) -> None:
        self.over.set()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        for one in self._sockets:
            one.close()

    @property
    def port(self) -> int:
        return _port(self._listener)

    def verbs(self) -> list[str]:
        """What it was asked, without the arguments."""
        return [command.partition(" ")[0] for command in self.commands]

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(listener)
        return listener

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one = self._listener.accept()[0]
                self._sockets.append(one)
                self._run(_Control(self, one).serve)


@dataclass
class _Control:
    """One control connection."""

    server: ScriptedFtp
    sock: socket.socket
    data: socket.socket | None = None
    received: bytearray = field(default_factory=bytearray)
    private: bool = False
    offset: int = 0
    source: str = ""

    def serve(self) -> None:
        with suppress(OSError):
            if self.server.implicit:
                self._secure()
            self._say("banner", b"220 hello\r\n")
            while line := self._line():
                self.server.commands.append(line)
                verb, _, argument = line.partition(" ")
                getattr(self, f"_{verb.lower()}", self._unknown)(argument)
        self.sock.close()

    def _say(self, key: str, reply: bytes) -> bool:
        """Answer; return whether the answer is the right one."""
        scripted = self.server.says.get(key)
        _send(self.sock, reply if scripted is None else scripted, self.server.over)
        return scripted is None

    def _line(self) -> str:
        while b"\r\n" not in self.received:
            if not (got := self.sock.recv(4096)):
                return ""
            self.received += got
        line, _, self.received = self.received.partition(b"\r\n")
        return line.decode()

    def _unknown(self, _: str) -> None:
        verb = self.server.verbs()[-1]
        self._say(verb, b"200 fine\r\n")

    def _secure(self) -> None:
        assert self.server.tls
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
        self.server._sockets.append(self.sock)

    def _auth(self, _: str) -> None:
        if self._say("AUTH", b"234 go on\r\n"):
            self._secure()

    def _prot(self, _: str) -> None:
        self.private = self._say("PROT", b"200 fine\r\n")

    def _user(self, _: str) -> None:
        self._say("USER", b"331 and?\r\n")

    def _pass(self, _: str) -> None:
        self._say("PASS", b"230 come in\r\n")

    def _pwd(self, _: str) -> None:
        self._say("PWD", b'257 "/" is it\r\n')

    def _size(self, name: str) -> None:
        content = self.server.files.get(name)
        if name in self.server.hides:
            self.server.hides.remove(name)
            content = None
        reply = b"550 no\r\n" if content is None else b"213 %d\r\n" % len(content)
        self._say("SIZE", reply)

    def _dele(self, name: str) -> None:
        there = self.server.files.pop(name, None) is not None
        self._say("DELE", b"250 gone\r\n" if there else b"550 no\r\n")

    def _rnfr(self, name: str) -> None:
        self.source = name
        self._say("RNFR", b"350 to?\r\n")

    def _rnto(self, name: str) -> None:
        if name in self.server.files and not self.server.renames_over:
            self._say("", b"553 it is there\r\n")
        elif self._say("RNTO", b"250 done\r\n"):
            self.server.files[name] = self.server.files.pop(self.source)

    def _rest(self, offset: str) -> None:
        if refusal := self.server.refuses_resuming.get("REST"):
            self._say("", refusal)
        elif self._say("REST", b"350 fine\r\n"):
            self.offset = int(offset)

    def _pasv(self, _: str) -> None:
        self.data = self.server._listen()
        port = _port(self.data)
        self._say("PASV", self.server.passive % divmod(port, 256))

    def _epsv(self, _: str) -> None:
        self.data = self.server._listen()
        self._say("EPSV", self.server.extended % _port(self.data))

    def _retr(self, name: str) -> None:
        content = self.server.files.get(name)
        if content is None:
            self._say("RETR", b"550 no\r\n")
        elif connection := self._begin("RETR"):
            offset, self.offset = self.offset, 0
            self._deliver("RETR", connection, content[offset:])

    def _nlst(self, _: str) -> None:
        if connection := self._begin("NLST"):
            text = "".join(f"{name}\r\n" for name in self.server.files)
            self._deliver("NLST", connection, text.encode())

    def _deliver(self, verb: str, connection: socket.socket, right: bytes) -> None:
        with suppress(OSError):
            _send(connection, self.server.sends.get(verb, right), self.server.over)
            self._close(connection)
        self._say("done", b"226 complete\r\n")

    def _stor(self, name: str) -> None:
        if self.offset and (refusal := self.server.refuses_resuming.get("STOR")):
            self._say("", refusal)
        elif connection := self._begin("STOR"):
            offset, self.offset = self.offset, 0
            content = bytearray(self.server.files.get(name, b"")[:offset])
            with suppress(OSError):
                while piece := connection.recv(65536):
                    content += piece
            self.server.files[name] = bytes(content[: self.server.keeps])
            with suppress(OSError):
                self._close(connection)
            self._say("done", b"226 complete\r\n")

    def _begin(self, verb: str) -> socket.socket | None:
        assert self.data
        connection = self.data.accept()[0]
        self.server._sockets.append(connection)
        if not self._say(verb, b"150 here it comes\r\n") and verb not in self.server.sends:
            return None
        if not self.private or self.server.clear_data:
            return connection
        context = self.server.data_tls or self.server.tls
        assert context
        try:
            connection = context.wrap_socket(connection, server_side=True)
        except OSError:
            self._say("done", b"425 no TLS on the data connection\r\n")
            return None
        self.server._sockets.append(connection)
        return connection

    def _close(self, connection: socket.socket) -> None:
        if isinstance(connection, ssl.SSLSocket) and not self.server.hangs_up:
            connection = connection.unwrap()
        connection.close()


def _send(sock: socket.socket, reply: Reply, over: threading.Event) -> None:
    for piece in [reply] if isinstance(reply, bytes) else reply:
        if over.is_set():
            break
        sock.sendall(piece)


def _port(listener: socket.socket) -> int:
    number: int = listener.getsockname()[1]
    return number
