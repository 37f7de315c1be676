"""Threat model, servers for time stamps: what one may answer, and how long it is listened to."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import pytest

from airgap.errors import AirgapError, ConfigurationError, TransportError, UsageError
from airgap.format import limits
from airgap.transport.stamp_server import StampServer, parse_server, request_stamp
from tests.servers.certificates import Authority
from tests.servers.scripted import Request, Scripted, reply
from tests.support import wires
from tests.support.wires import Clock, Wire

TYPE = "application/timestamp-reply"
Answer = bytes | Iterable[bytes]


def ask(answer: Callable[[Request], Answer]) -> bytes:
    with Scripted(answer) as server:
        return request_stamp(StampServer(f"{server.url}/tsr", seconds=5), b"query")


def refusal(answer: Callable[[Request], Answer]) -> str:
    with pytest.raises(TransportError) as raised:
        ask(answer)
    return raised.value.message


def endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\r\n"
    yield from repeat(b"x" * 65_536)


def test_an_answer_is_taken_as_it_is() -> None:
    assert ask(lambda one: reply("200 OK", one.body, Content_Type=f"{TYPE}; x=y")) == b"query"


def test_an_answer_without_end_is_cut_off() -> None:
    assert "65,536 bytes" in refusal(lambda _: endless())


def test_a_giant_answer_is_not_read() -> None:
    giant = str(2**40)

    said = refusal(lambda _: reply("200 OK", b"x", Content_Type=TYPE, Content_Length=giant))

    assert "65,536 bytes" in said


def test_the_longest_answer_is_read() -> None:
    longest = b"x" * limits.TIME_STAMP_BYTES

    assert ask(lambda _: reply("200 OK", longest, Content_Type=TYPE)) == longest


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: " + TYPE.encode() + b"\r\n"]
)
def test_a_server_that_sends_a_byte_a_second_is_not_waited_for(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No clock is waited for: seconds pass when the other end is silent."""
    clock = Clock()
    wire = Wire(head + b"X-Slow: ", again=b"x", clock=clock, slow=True)
    server = StampServer("http://127.0.0.1:9/tsr", seconds=2)
    monkeypatch.setattr("airgap.transport.sending.time.monotonic", clock)

    with (
        wires.connecting(iter([wire]), ("127.0.0.1", 9)),
        pytest.raises(TransportError, match="stalled"),
    ):
        request_stamp(server, b"query")

    assert clock.now < 9


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    asked = []

    def answer(request: Request) -> bytes:
        asked.append(request.target)
        return reply(status, Location="http://127.0.0.1:9/other")

    assert "redirects" in refusal(answer)
    assert asked == ["/tsr"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply("500 No", b"x", Content_Type=TYPE), "status 500"),
        (reply("404 No"), "status 404"),
        (reply("200 OK", b"<html>", Content_Type="text/html"), "does not answer with a time stamp"),
        (reply("200 OK", b"x"), "does not answer with a time stamp"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: "
            + TYPE.encode()
            + b"\r\nContent-Length: 9\r\n\r\nx",
            "broke",
        ),
        (b"\x16\x03\x01", "broke"),
        (b"", "broke"),
    ],
)
def test_anything_else_is_refused(answer: bytes, text: str) -> None:
    assert text in refusal(lambda _: answer)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(TransportError, match="cannot be opened"):
        request_stamp(StampServer("http://127.0.0.1:1/", seconds=5), b"query")


def test_tls_is_demanded_where_it_is_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("tsa")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)
    answer = reply("200 OK", b"stamp", Content_Type=TYPE)
    with Scripted(lambda _: answer, tls=tls) as server:
        known = StampServer(f"{server.url}/", authority.file, seconds=5)
        assert request_stamp(known, b"query") == b"stamp"
        with pytest.raises(TransportError, match="no certificate that is trusted"):
            request_stamp(StampServer(f"{server.url}/", seconds=5), b"query")


def test_a_server_without_tls_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=_answer_in_clear, args=(listener,), daemon=True)
        thread.start()
        server = StampServer(f"https://127.0.0.1:{port}/", Authority(tmp_path).file, seconds=5)
        with pytest.raises(TransportError, match="TLS"):
            request_stamp(server, b"query")
        thread.join(60)


def _answer_in_clear(listener: socket.socket) -> None:
    listener.settimeout(30)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        connection.recv(9)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_proxy_is_used_where_it_is_named() -> None:
    """A TLS tunnel goes through it, and plain HTTP does not."""
    seen: list[str] = []

    def refuse(request: Request) -> bytes:
        seen.append(f"{request.method} {request.target}")
        return b"HTTP/1.1 403 No\r\n\r\n"

    with Scripted(refuse) as proxy:
        server = StampServer("https://tsa.example:8443/tsr", proxy=proxy.url, seconds=5)
        with pytest.raises(TransportError, match="status 403"):
            request_stamp(server, b"query")
        with pytest.raises(ConfigurationError, match="not reached through a proxy"):
            request_stamp(StampServer("http://tsa.example/", proxy=proxy.url), b"query")
    assert seen == ["CONNECT tsa.example:8443"]


def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "empty"):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            request_stamp(StampServer("https://127.0.0.1:1/", path), b"query")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://x/", "x", "http://", "http://u:p@x/", "http://x/#f", "http://x y/", "http://x:0/"),
        *("http://x:99999/", "http://[x/", "http://x/\x7f", "http://x/" + "y" * 2048, ""),
    ],
)
def test_what_is_not_the_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse_server(url)


def test_a_url_may_have_a_query() -> None:
    assert parse_server("https://x:8/y?z=1") == "https://x:8/y?z=1"
    assert issubclass(UsageError, AirgapError)
