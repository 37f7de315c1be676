"""One HTTP connection to one server, in which every response has a limit in bytes and in time.

``http.client`` parses; what it reads comes through a stream that counts bytes and watches the
clock. No redirect is followed, and no proxy is used but the one that is given.
"""

import http.client
import io
import socket
import ssl
import weakref
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from airgap.disk.descriptors import wait_readable
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import ProtocolError, TransientError
from airgap.transport.proxy import Proxy, open_tunnel
from airgap.transport.sending import LOOK_SECONDS, Line, Upload
from airgap.transport.tls import explain_client_alert, reason_of

__all__ = ["HttpConnection", "Response", "Route"]

_CONNECT_SECONDS: Final = 20.0
_HEAD_BYTES: Final = 256 * 1024  # status, headers, and all interim responses before them
_INTERIM_RESPONSES: Final = 100
_HUNG_UP: Final = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)
_FIRST_FINAL_STATUS: Final = 200
_READ_AHEAD_BYTES: Final = 64 * 1024
_BLOCK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server: its host and port, how to encrypt, and the proxy to go through."""

    address: tuple[str, int]
    tls: ssl.SSLContext | None
    proxy: Proxy | None = None


class Response:
    """A response whose head was read. Its body is read once, or the connection is closed."""

    def __init__(self, connection: "HttpConnection", parsed: http.client.HTTPResponse) -> None:
        """Take what ``http.client`` parsed."""
        self.status = parsed.status
        self._connection = connection
        self._parsed = parsed

    @property
    def size(self) -> int | None:
        """The length of the body that the response announces; None if it does not."""
        text = self.header("content-length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004  (2^64)

    @property
    def encoded(self) -> bool:
        """Whether the body comes in chunks or compressed, so that its bytes are not the object's.

        A length that such a response announces has no meaning (RFC 9112, 6.3).
        """
        return "transfer-encoding" in self._parsed.headers

    def header(self, name: str) -> str:
        """Return a header, or the empty string."""
        return self._parsed.headers.get(name, "").strip()

    def read_small(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            TransientError: the connection broke, or took too long.
            ValueError: the body is longer than ``limit`` bytes.
        """
        with self._connection.translating_errors():
            self._connection.allow_bytes(2 * limit + _HEAD_BYTES)  # chunks have heads of their own
            announced = self._parsed.length or 0
            body = self._parsed.read(limit + 1) if announced <= limit else b""
            if max(len(body), announced) > limit:
                raise ValueError("the body is too long")
            if len(body) < announced:
                raise EOFError
            self._connection.finish(self._parsed)
        return body

    def read_pieces(self, size: int, speed: LeastSpeed) -> Generator[memoryview]:
        """Yield the first ``size`` bytes as they arrive; what came before an error comes first.

        Raises:
            TransientError: the connection broke or stalled, or the body ended early.
            TransportError: the server is too slow.
        """
        buffer = memoryview(bytearray(min(_BLOCK_BYTES, size)))
        self._connection.begin_body(size, speed)
        left = size
        try:
            while left:
                with self._connection.translating_errors():
                    got = self._connection.read_into(self._parsed, buffer[:left])
                left -= got
                yield buffer[:got]
        finally:
            if left:  # the rest is still to come
                self._connection.close()
            else:
                self._connection.finish(self._parsed)


class HttpConnection:
    """A connection that opens at its first request, and again after an error."""

    def __init__(self, route: Route, name: str, stall: float) -> None:
        """Take the way to a server.

        Args:
            route: where to connect to; nothing else is ever connected to.
            name: the server, for messages.
            stall: seconds for a connection, and between two pieces of a body.
        """
        self._route = route
        self._name = name
        self._stall = stall
        self._http: http.client.HTTPConnection | None = None
        self._stream: _LimitedSocket | None = None
        self._parsed: http.client.HTTPResponse | None = None

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] = b"",
        seconds: float | None = None,
    ) -> Response:
        """Send a request, and return the head of the response.

        Args:
            method: such as GET.
            target: path and query, encoded.
            headers: with ``host``.
            body: what is sent; blocks need the header ``content-length``.
            seconds: for the whole response, from when the server has acknowledged the request,
                except a body that ``read_pieces`` reads; by default as long as the connection
                may stall.

        Raises:
            TransientError: the connection failed, or took too long.
            TransportError: the server takes the request too slowly.
            ssl.SSLError, OSError: the connection could not be opened.
        """
        connection, stream = self._open()
        stream.begin_request()
        with self.translating_errors():
            with suppress(*_HUNG_UP):  # it may have responded already
                connection.request(method, target, body or None, dict(headers))
            stream.limit(seconds or self._stall, _HEAD_BYTES)
            self._parsed = connection.getresponse()
            return Response(self, self._parsed)

    def close(self) -> None:
        """Close the connection; a request that another thread waits for fails."""
        stream, self._stream, self._http, self._parsed = self._stream, None, None, None
        if stream is not None:
            stream.shut()

    def finish(self, parsed: http.client.HTTPResponse) -> None:
        """End a response that was read completely; the connection is kept if the server allows."""
        keep = not parsed.will_close
        parsed.close()
        if not keep:
            self.close()

    def allow_bytes(self, count: int) -> None:
        """Set how many more bytes may arrive."""
        if self._stream is not None:
            self._stream.bytes_left = count

    def begin_body(self, size: int, speed: LeastSpeed) -> None:
        """Replace the limit on time by one on silence, and one on speed."""
        if self._stream is not None:
            self._stream.measure(size, speed, self._stall)

    def read_into(self, parsed: http.client.HTTPResponse, buffer: memoryview) -> int:
        """Read what has arrived of a body, at least one byte."""
        got = parsed.fp.readinto1(buffer)
        if not got:
            raise EOFError
        return int(got)

    def translating_errors(self) -> "_Translation":
        """Translate errors of a connection, and close it: it may be in the middle of a response."""
        return _Translation(self, self._name)

    def _open(self) -> "tuple[http.client.HTTPConnection, _LimitedSocket]":
        """Return the connection; a new one if it was closed, or the last response was not read."""
        unread = self._parsed is not None and not self._parsed.isclosed()
        if unread or (self._stream is not None and self._stream.is_stale()):
            self.close()
        if self._http is None or self._stream is None:
            host, port = self._route.address
            wrapped = _connect(self._route, min(self._stall, _CONNECT_SECONDS))
            line = Line(wrapped)
            upload = Upload(line, LeastSpeed(self._name), self._stall)
            self._stream = _LimitedSocket(wrapped, line, upload)
            self._http = http.client.HTTPConnection(host, port)
            self._http.sock = self._stream
            self._http.auto_open = 0
            self._http.response_class = _FinalResponse
        return self._http, self._stream


def _connect(route: Route, seconds: float) -> socket.socket:
    """Connect to the server, through its proxy.

    Raises:
        TransientError, TransportError: see ``open_tunnel``; or the proxy cannot be reached.
        OSError: the server cannot be reached.
    """
    plain = _open_socket(route, seconds)
    try:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.proxy is not None:
            open_tunnel(plain, route.proxy, route.address, seconds)
            plain.settimeout(seconds)
        if route.tls is None:
            return plain
        return route.tls.wrap_socket(plain, server_hostname=route.address[0])
    except BaseException:
        plain.close()
        raise


def _open_socket(route: Route, seconds: float) -> socket.socket:
    if route.proxy is None:
        return socket.create_connection(route.address, seconds)
    try:
        return socket.create_connection((route.proxy.host, route.proxy.port), seconds)
    except OSError as error:
        raise TransientError(
            f"The proxy {route.proxy} cannot be reached ({reason_of(error)}).",
            "Check its host and port, and the network.",
        ) from None


class _FinalResponse(http.client.HTTPResponse):
    """The response that follows any interim ones, such as 103 (RFC 9110, 15.2).

    ``http.client`` itself passes over 100 only, and takes every other one for the answer; the real
    answer would then be read as that of the next request.
    """

    def begin(self) -> None:
        """Read the head of the response."""
        for _ in range(_INTERIM_RESPONSES):
            super().begin()
            # A line that is no header, or a carriage return alone, hides the headers behind it.
            if self.headers.defects or self.headers.get_payload():
                raise http.client.HTTPException
            if self.status >= _FIRST_FINAL_STATUS:
                return
            self.headers = None  # type: ignore[assignment]  # so that the next call reads anew
        raise http.client.HTTPException


class _Translation:
    """A context that turns errors of a connection into ``TransientError``."""

    def __init__(self, connection: HttpConnection, name: str) -> None:
        self._connection = connection
        self._name = name

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        self._connection.close()
        if isinstance(error, ssl.SSLError) and (
            refusal := explain_client_alert(error, self._name)
        ):  # with TLS 1.3 it comes after the handshake
            raise refusal from None
        if isinstance(error, TimeoutError):
            event = "stalled"
        elif isinstance(error, (OSError, EOFError, http.client.HTTPException)):
            event = "broke"
        else:
            return
        raise _choose_kind(error)(
            f"The connection to {self._name} {event}.",
            "Check the network, then run the same command again.",
        ) from None


def _choose_kind(error: BaseException) -> type[TransientError]:
    """Return the class of what a broken connection raises: another where the answer is not HTTP."""
    is_connection = isinstance(error, (OSError, EOFError, http.client.IncompleteRead))
    return TransientError if is_connection else ProtocolError


class _LimitedSocket:
    """The socket of a connection, as ``http.client`` uses it: with limits for the response."""

    def __init__(self, sock: socket.socket, line: Line, upload: Upload) -> None:
        self._socket = sock
        self._line = line
        self._upload = upload
        weakref.finalize(self, sock.close).atexit = False  # of a transport that nobody closed
        self._seconds = self._deadline = 0.0
        self._speed: LeastSpeed | None = None
        self.bytes_left = 0

    def begin_request(self) -> None:
        """Prepare for sending; what arrives meanwhile is not read."""
        self._upload.restart()

    def limit(self, seconds: float, count: int) -> None:
        """Allow a time and a number of bytes for what follows.

        The time begins when the other end has acknowledged what was sent.
        """
        self._seconds = seconds
        self._deadline = self._line.now() + seconds
        self._speed = None
        self.bytes_left = count

    def measure(self, size: int, speed: LeastSpeed, stall: float) -> None:
        """Allow the bytes of a body, as long as they keep arriving."""
        self._speed = speed
        self.bytes_left = size + _READ_AHEAD_BYTES
        self._socket.settimeout(stall)

    def is_stale(self) -> bool:
        """Return whether the server has sent or closed something while nothing was requested."""
        return wait_readable(self._socket.fileno(), 0)

    def makefile(self, _mode: str = "rb") -> io.BufferedReader:
        """Return the stream for a response."""
        return io.BufferedReader(_SocketReader(self), _READ_AHEAD_BYTES)

    def close(self) -> None:
        """Do nothing: ``http.client`` closes at the end of a response, before it was read."""

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._upload.send(data)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive some bytes; 0 at the end."""
        if self._speed is None:
            got = self._receive_before_deadline(buffer)
        else:
            with self._speed.waiting():
                got = self._socket.recv_into(buffer)
            self._speed.count(got)
        self.bytes_left -= got
        if self.bytes_left < 0:
            raise http.client.HTTPException
        return got

    def _receive_before_deadline(self, buffer: memoryview) -> int:
        while True:
            begun = self._line.now()
            left = max(self._deadline - begun, 0.001)
            self._socket.settimeout(min(left, LOOK_SECONDS))
            try:
                return self._socket.recv_into(buffer)
            except TimeoutError:
                now = self._line.now()
                if not self._upload.look(now - begun):
                    self._deadline = now + self._seconds
                elif now >= self._deadline:
                    raise

    def shut(self) -> None:
        """Close the socket, also while another thread waits in it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class _SocketReader(io.RawIOBase):
    """Reads from a stream; closing it leaves the connection open for the next request."""

    def __init__(self, stream: _LimitedSocket) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        return self._stream.receive_into(memoryview(buffer))  # type: ignore[arg-type]
