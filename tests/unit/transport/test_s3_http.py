"""One connection and its responses."""

import os
import resource
from collections.abc import Iterator

import pytest

from airgap.transport.s3.http import HttpConnection
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
    return HttpConnection((host, int(port)), None, server.url, 5.0)


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
