"""Uploads in parts: what a server that fails once costs, and how large the parts are."""

import hashlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from airgap.transport.http import HttpConnection, Route
from airgap.transport.port import TransientError
from airgap.transport.s3 import errors
from airgap.transport.s3.bucket import PART_BYTES, ResponseError, choose_part_bytes
from airgap.transport.s3.client import S3Client
from airgap.transport.s3.options import S3Options
from airgap.transport.s3.parts import PartSender
from tests.servers.scripted import Request, Scripted, reply

MIB = 1024 * 1024
BLOCK = bytes(MIB)
SIZE = 9 * MIB


@dataclass
class Uploads:
    """A server on which ``fail`` answers requests to complete an upload, until it returns None."""

    fail: Callable[[int], bytes | None] = lambda _: None
    stored: int | None = None
    parts: dict[str, int] = field(default_factory=dict)
    completed: int = 0
    removed: int = 0
    threads: dict[str, int] = field(default_factory=dict)

    def answer(self, request: Request) -> bytes:
        if request.method == "HEAD":
            size = None if self.stored is None else str(self.stored)
            status = "404 Not Found" if self.stored is None else "200 OK"
            return reply(status, Connection=None, Content_Length=size)
        if request.method == "PUT":
            self.parts[request.target] = len(request.body)
            return reply("200 OK", Connection=None)
        if request.method == "DELETE":
            self.removed += 1
            return reply("204 No Content", Connection=None)
        self.threads[request.target] = threading.get_ident()
        if "uploads=" in request.target:
            return reply("200 OK", b"<R><UploadId>U</UploadId></R>", Connection=None)
        self.completed += 1
        failure = self.fail(self.completed)
        if failure == b"":
            raise OSError
        return failure or reply("200 OK", b"<R/>", Connection=None)


def put(server: Uploads, size: int = SIZE, blocks: int = 9) -> None:
    with Scripted(server.answer, persistent=True) as scripted:
        client = S3Client(S3Options("bucket", endpoint=scripted.url), None, lambda _, __: None)
        try:
            client.put_parts("key", [BLOCK] * blocks, size)
        finally:
            client.close()


def refuse(status: str, code: str) -> bytes:
    return reply(status, f"<Error><Code>{code}</Code></Error>".encode(), Connection=None)


@pytest.mark.parametrize(
    "failure",
    [refuse("503 Slow Down", "SlowDown"), refuse("200 OK", "InternalError"), b""],
    ids=["503", "200", "broken"],
)
def test_completing_an_upload_is_tried_again(failure: bytes) -> None:
    server = Uploads(lambda number: failure if number < 3 else None)

    put(server)

    assert (server.completed, len(server.parts), server.removed) == (3, 2, 0)


def test_an_upload_that_a_broken_try_has_completed_is_a_success() -> None:
    server = Uploads(
        lambda number: refuse("404 Not Found", "NoSuchUpload") if number > 1 else b"", SIZE
    )

    put(server)

    assert (server.completed, server.removed) == (2, 0)


@pytest.mark.parametrize(("first", "stored"), [(b"", None), (b"", SIZE - 1), (None, SIZE)])
def test_an_upload_that_is_gone_is_not_a_success(first: bytes | None, stored: int | None) -> None:
    gone = refuse("404 Not Found", "NoSuchUpload")
    server = Uploads(lambda number: gone if number > 1 or first is None else first, stored)

    with pytest.raises(ResponseError) as caught:
        put(server)

    error = errors.explain(caught.value, "write", S3Options("bucket"), "key")
    assert isinstance(error, TransientError)


def test_an_expired_session_is_named_whatever_the_status() -> None:
    refused = ResponseError(400, "ExpiredToken")

    error = errors.explain(refused, "read", S3Options("bucket"), "key")

    assert "get new credentials" in error.hint


def test_completing_an_upload_is_given_up_after_some_tries() -> None:
    server = Uploads(lambda _: refuse("503 Slow Down", "SlowDown"))

    with pytest.raises(ResponseError):
        put(server)

    assert (server.completed, server.removed) == (6, 1)


def test_an_upload_that_is_refused_is_not_completed_again() -> None:
    server = Uploads(lambda _: refuse("400 Bad Request", "InvalidPart"))

    with pytest.raises(ResponseError):
        put(server)

    assert (server.completed, server.removed) == (1, 1)


def test_an_upload_is_completed_over_a_connection_that_was_not_idle() -> None:
    server = Uploads()

    put(server)

    assert len(set(server.threads.values())) == 2  # the server has a thread for each connection


def test_connections_are_kept_alive() -> None:
    with Scripted(lambda _: reply("200 OK", Connection=None), persistent=True) as server:
        host, port = server.url.removeprefix("http://").split(":")
        connection = HttpConnection(Route((host, int(port)), None), server.url, 5.0)
        connection.request("GET", "/", {"host": host}).read_small(0)

        assert connection._stream is not None
        sock = connection._stream._socket
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        connection.close()


@pytest.mark.parametrize(
    ("size", "part_bytes"),
    [
        (PART_BYTES + 1, PART_BYTES),
        (10_000 * PART_BYTES, PART_BYTES),
        (10_000 * PART_BYTES + 1, 9 * MIB),
        (5 * MIB * MIB, 525 * MIB),
    ],
)
def test_an_object_has_at_most_10_000_parts(size: int, part_bytes: int) -> None:
    assert choose_part_bytes(size) == part_bytes
    assert size / part_bytes <= 10_000


def test_the_parts_of_a_huge_object_are_larger() -> None:
    server = Uploads()

    put(server, 100 * 1024 * MIB, 12)

    assert sorted(server.parts.values()) == [MIB, 11 * MIB]


def test_parts_that_are_being_sent_are_given_up_when_one_fails() -> None:
    began = threading.Event()
    stopped_in_time: list[bool] = []

    def send(_: HttpConnection, number: int, __: bytes, stopped: threading.Event) -> str:
        if number == 1:
            began.set()
            stopped_in_time.append(stopped.wait(10))
            raise InterruptedError
        began.wait(10)
        raise ResponseError(403)

    connections = [HttpConnection(Route(("127.0.0.1", 9), None), "", 1.0) for _ in range(2)]
    sender = PartSender(send, connections)
    sender.submit(1, b"")
    sender.submit(2, b"")

    with pytest.raises(ResponseError):
        sender.finish()
    assert stopped_in_time == [True]


def test_a_part_is_not_sent_again_after_a_stop() -> None:
    stopped = threading.Event()
    attempts: list[int] = []

    def attempt() -> None:
        attempts.append(1)
        stopped.set()
        raise TransientError("The connection broke.", "")

    client = S3Client(S3Options("bucket", endpoint="http://127.0.0.1:9"), None)
    with pytest.raises(InterruptedError):
        client._try(attempt, stopped)
    assert attempts == [1]


@pytest.mark.parametrize("checksums", [True, False])
def test_each_byte_of_an_upload_is_hashed_once(
    checksums: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed: list[int] = []
    sha256 = hashlib.sha256

    def count(data: bytes = b"") -> "hashlib._Hash":
        hashed.append(len(data))
        return sha256(data)

    monkeypatch.setattr(hashlib, "sha256", count)
    with Scripted(Uploads().answer, persistent=True) as scripted:
        options = S3Options("bucket", endpoint=scripted.url, checksums=checksums)
        client = S3Client(options, None)
        client.put_parts("key", [BLOCK] * 9, SIZE)
        client.close()

    assert sum(size for size in hashed if size >= MIB) == SIZE
