"""A name server and a server that answer for every host of the world, and write down the question.

It runs in a network namespace of its own. Every name gets an address of the loopback network, so
that no route is needed; a connection is accepted, its first bytes are read, and it is closed.
"""

import json
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["Sinkhole", "find_server_name", "read_question"]

PORTS: Final = (80, 443)
NAME_SERVER: Final = "127.0.0.1"
_FIRST_BYTES: Final = 8192
_PATIENCE: Final = 3.0
"""Seconds to wait for the first bytes of a connection."""
_MOST_NAMES: Final = 60_000
_IPV4: Final = 1
_TLS_HANDSHAKE: Final = 0x16
_SERVER_NAME: Final = 0

Write = Callable[[dict[str, object]], None]


class Sinkhole:
    """Answers for every host until its process ends. What it is asked goes to a log of JSON lines.

    An event has ``event`` (``lookup`` or ``connection``) and ``name``; a connection also ``port``
    and what its first bytes say: ``request`` (a line of HTTP) or ``server_name`` (of TLS).
    """

    def __init__(self, log: Path) -> None:
        """Write to this log."""
        self._log = log
        self._lock = threading.Lock()
        self._names: dict[str, int] = {}

    def start(self) -> None:
        """Listen, and answer in threads of its own. Raises OSError."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((NAME_SERVER, 53))
        _run(self._answer_questions, server)
        for port in PORTS:
            listener = socket.create_server(("0.0.0.0", port), backlog=128)  # noqa: S104  (its own namespace)
            _run(self._accept, listener)

    def _write(self, event: dict[str, object]) -> None:
        with self._lock, self._log.open("a") as log:
            log.write(json.dumps(event) + "\n")

    def _answer_questions(self, server: socket.socket) -> None:
        while True:
            question, sender = server.recvfrom(4096)
            read = read_question(question)
            if read is None:
                continue
            name, kind, end = read
            answer = b""
            if kind == _IPV4:
                self._write({"event": "lookup", "name": name})
                address = socket.inet_aton(self._find_address(name))
                answer = b"\xc0\x0c" + struct.pack(">HHIH", _IPV4, 1, 1, 4) + address
            counts = struct.pack(">HHHH", 1, bool(answer), 0, 0)
            server.sendto(question[:2] + b"\x81\x80" + counts + question[12:end] + answer, sender)

    def _find_address(self, name: str) -> str:
        number = self._names.setdefault(name, min(len(self._names) + 1, _MOST_NAMES))
        return f"127.66.{number >> 8}.{number & 255}"

    def _find_name(self, address: str) -> str:
        names = {self._find_address(name): name for name in list(self._names)}
        return names.get(address, address)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            _run(self._read_connection, connection)

    def _read_connection(self, connection: socket.socket) -> None:
        with connection:
            address, port = connection.getsockname()[:2]
            connection.settimeout(_PATIENCE)
            try:
                first = connection.recv(_FIRST_BYTES)
            except OSError:
                first = b""
            event: dict[str, object] = {"event": "connection", "name": self._find_name(address)}
            self._write({**event, "port": port, **_describe_first_bytes(first)})


def _run(target: Callable[[socket.socket], None], argument: socket.socket) -> None:
    threading.Thread(target=target, args=(argument,), daemon=True).start()


def _describe_first_bytes(first: bytes) -> dict[str, object]:
    if first[:1] == bytes([_TLS_HANDSHAKE]):
        name = find_server_name(first)
        return {"server_name": name} if name else {}
    if first:
        return {"request": first.split(b"\r\n")[0].decode("latin-1")[:500]}
    return {}


def read_question(packet: bytes) -> tuple[str, int, int] | None:
    """Return name, kind of record and end of the first question of a DNS packet; or None."""
    try:
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
            at += 1 + packet[at]
        (kind,) = struct.unpack_from(">H", packet, at + 1)
    except (IndexError, struct.error):
        return None
    return ".".join(labels).lower(), kind, at + 5


def find_server_name(hello: bytes) -> str | None:
    """Return the server name of a TLS ClientHello (RFC 6066), or None."""
    try:
        at = 43
        at += 1 + hello[at]
        at += 2 + struct.unpack_from(">H", hello, at)[0]
        at += 1 + hello[at]
        end = at + 2 + struct.unpack_from(">H", hello, at)[0]
        at += 2
        while at < end:
            extension, length = struct.unpack_from(">HH", hello, at)
            at += 4
            if extension == _SERVER_NAME:
                size = struct.unpack_from(">H", hello, at + 3)[0]
                return hello[at + 5 : at + 5 + size].decode("latin-1")
            at += length
    except (IndexError, struct.error):
        pass
    return None
