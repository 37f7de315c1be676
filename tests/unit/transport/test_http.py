"""One connection and its responses."""

import os
import resource
from collections.abc import Iterator

import pytest

from airgap.transport.http import HttpConnection, Route
from airgap.transport.port import ProtocolError, TransientError
from tests.servers.scripted import Scripted, reply


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """More open files than ``select.select`` takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the limit of open files is below 2,048")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(server: Scripted) -> HttpConnection:
    host, port = server.url.removeprefix("http://").split(":")
    return HttpConnection(Route((host, int(port)), None), server.url, 5.0)


@pytest.mark.usefixtures("many_descriptors")
def test_a_connection_may_have_a_large_descriptor() -> None:
    with Scripted(lambda _: reply("200 OK", b"x", Connection=None), persistent=True) as server:
        connection = connect(server)
        for _ in range(2):
            assert connection.request("GET", "/", {"host": "host"}).read_small(1) == b"x"
        connection.close()


def test_a_response_that_was_not_read_does_not_break_the_next_request() -> None:
    with Scripted(lambda _: reply("200 OK", b"x", Connection=None), persistent=True) as server:
        connection = connect(server)
        connection.request("GET", "/", {"host": "host"})
        assert connection.request("GET", "/", {"host": "host"}).read_small(1) == b"x"
        connection.close()


INTERIM = {
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "one of HTTP/1.0": b"HTTP/1.0 103 Early Hints\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "interim", [*INTERIM.values(), b"".join(INTERIM.values())], ids=[*INTERIM, "all of them"]
)
def test_interim_responses_are_passed_over(interim: bytes, method: str) -> None:
    body = b"x" if method == "GET" else b""
    answer = interim + reply("200 OK", body, Connection=None, Content_Length="1")
    with Scripted(lambda _: answer, persistent=True) as server:
        connection = connect(server)
        for _ in range(2):
            response = connection.request(method, "/", {"host": "host"})
            assert (response.status, response.size) == (200, 1)
            assert response.read_small(1) == body
        connection.close()


def test_interim_responses_are_passed_over_a_number_of_times() -> None:
    answer = INTERIM["processing"] * 100 + reply("200 OK", b"x")
    with Scripted(lambda _: answer) as server, pytest.raises(TransientError, match="broke"):
        connect(server).request("GET", "/", {"host": "host"})


@pytest.mark.parametrize("line", [b"\rHTTP/1.1 200 OK", b"no header", b": no name"])
def test_a_head_with_a_line_that_is_no_header_is_refused(line: bytes) -> None:
    """What follows such a line is not read as headers: a body would be taken for another."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n" + line + b"\r\n"
    answer = head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    with Scripted(lambda _: answer) as server, pytest.raises(ProtocolError, match="broke"):
        connect(server).request("GET", "/", {"host": "host"})


@pytest.mark.parametrize("answer", [b"", reply("200 OK", b"x", Content_Length="2")])
def test_an_answer_that_ends_early_does_not_break_the_protocol(answer: bytes) -> None:
    with Scripted(lambda _: answer) as server, pytest.raises(TransientError) as broken:
        connect(server).request("GET", "/", {"host": "host"}).read_small(2)
    assert type(broken.value) is TransientError
