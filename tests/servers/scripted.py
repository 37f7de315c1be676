"""An HTTP server that responds as a test demands, byte for byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Self

__all__ = ["Request", "Scripted", "reply"]


@dataclass(frozen=True)
class Request:
    """One request as it came. Names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Request], bytes | Iterable[bytes]]


class Scripted:
    """Answers with whatever ``answer`` gives, and hangs up after that.

    A persistent one continues, and keeps nothing that it was sent.
    """

    def __init__(
        self,
        answer: Answer,
        address: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        *,
        persistent: bool = False,
    ) -> None:
        self.seen: list[Request] = []
        self._answer = answer
        self._tls = tls
        self._persistent = persistent
        self._listener = socket.create_server((address, 0))
        self._host = f"{address}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}"

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with suppress(OSError):  # the client may go at any time
            if self._tls:
                one = self._tls.wrap_socket(one, server_side=True)
            with one.makefile("rb") as file:
                while (request := _read(file)) is not None:
                    if not self._persistent:
                        self.seen.append(request)
                    answer = self._answer(request)
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        one.sendall(piece)
                    if not self._persistent:
                        break
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def reply(status: str, body: bytes = b"", **headers: str | None) -> bytes:
    """Make an answer of S3; underscores in names of headers are dashes, None leaves one out."""
    lines = {
        "Content-Length": str(len(body)),
        "Last-Modified": "Mon, 12 Oct 2009 17:50:00 GMT",
        "ETag": '"x"',
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def _read(file: BinaryIO) -> Request | None:
    first = file.readline().decode().split()
    if not first:
        return None
    headers: dict[str, str] = {}
    while line := file.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    size = int(headers.get("content-length", "0"))
    body = file.read(size)
    return Request(first[0], first[1], headers, body) if len(body) == size else None
