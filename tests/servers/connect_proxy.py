"""A real HTTP proxy on loopback that opens tunnels (CONNECT), and nothing else."""

import base64
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_SECONDS = 20


@dataclass
class ConnectProxy:
    """Use it as a context manager. ``login`` is USER:PASSWORD, demanded if it is given."""

    login: str = ""
    targets: list[str] = field(default_factory=list)
    """What was asked for, as HOST:PORT."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_SECONDS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(_SECONDS)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            first, *lines = head.decode().split("\r\n")
            method, target, _ = first.split()
            if method != "CONNECT":
                client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
                return
            expected = base64.b64encode(self.login.encode()).decode()
            if self.login and f"Proxy-Authorization: Basic {expected}" not in lines:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            self.targets.append(target)
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), _SECONDS) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
                back = threading.Thread(target=_relay, args=(server, client), daemon=True)
                back.start()
                _relay(client, server)
                back.join(_SECONDS)


def _relay(source: socket.socket, sink: socket.socket) -> None:
    """Pass on until the source ends; then end the sink, too."""
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
