"""An object store that lies, stalls and redirects (threat model: transports)."""

import hashlib
import itertools
import ssl
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    MissingError,
    StorageError,
    TransportError,
)
from airgap.transport.least_speed import LeastSpeed
from airgap.transport.port import TransientError
from airgap.transport.s3 import client
from airgap.transport.s3.options import S3Keys, S3Options
from airgap.transport.s3.transport import S3Transport
from tests.servers.certificates import Authority, Issued, self_signed
from tests.servers.scripted import Request, Scripted, reply

KEYS = S3Keys("IDENTITY", "SECRETSECRET", "SESSIONTOKEN")
DATA = b"0123456789"
PIECE = b"x" * 65536


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that would lead requests, or other keys, to another server if they were used."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "AWS_PROXY_URL"):
        monkeypatch.setenv(name, "http://127.0.0.2:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.2:9")
    monkeypatch.setenv("AWS_ALLOW_INVALID_CERTIFICATES", "true")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "OTHER")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "OTHER")


def connect(url: str, **more: object) -> S3Transport:
    options: dict[str, object] = {"keys": KEYS, "timeout": 10.0, **more}
    return S3Transport(S3Options("bucket", "top", endpoint=url, **options))  # type: ignore[arg-type]


def error(status: str, code: str) -> bytes:
    """An answer that repeats everything it was sent."""
    text = f"{KEYS!r} SECRETSECRET SESSIONTOKEN IDENTITY"
    return reply(status, f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode())


def get(answer: bytes, offset: int = 0, length: int | None = None) -> bytes:
    """Get from a server that answers so; return what the sink was given if it went well."""
    found = bytearray()
    with Scripted(lambda _: answer) as server:
        count = connect(server.url).get("file", found.extend, offset, length)
    assert count == len(found)
    return bytes(found)


def test_a_good_answer_is_taken() -> None:
    assert get(reply("200 OK", DATA)) == DATA


def test_a_good_range_is_taken() -> None:
    assert get(reply("206 Partial Content", b"234", Content_Range="bytes 2-4/10"), 2, 3) == b"234"


@pytest.mark.parametrize(
    "answer",
    [
        reply("200 OK", DATA, Content_Length="11"),
        reply("200 OK", b"", Content_Length="10"),
        reply("200 OK", DATA, Content_Length=str(2**62)),
    ],
)
def test_a_truncated_body_is_broken_off(answer: bytes) -> None:
    with pytest.raises(TransientError):
        get(answer)


def test_no_more_is_taken_than_was_announced() -> None:
    assert get(reply("200 OK", DATA, Content_Length="5")) == DATA[:5]


@pytest.mark.parametrize(
    "answer",
    [
        reply("200 OK", DATA, Content_Length=None),
        reply("200 OK", DATA, Content_Length=None, Transfer_Encoding="chunked"),
        reply("200 OK", DATA, Content_Length="many"),
        reply("200 OK", DATA, Content_Length="-1"),
    ],
)
def test_a_body_without_a_length_is_refused(answer: bytes) -> None:
    with pytest.raises(TransportError):
        get(answer)


@pytest.mark.parametrize(
    "answer",
    [
        reply("200 OK", DATA),
        reply("206 Partial Content", b"345", Content_Range="bytes 3-5/10"),
        reply("206 Partial Content", b"234567", Content_Range="bytes 2-7/10"),
        reply("206 Partial Content", b"234567", Content_Range="bytes 2-4/10"),
        reply("206 Partial Content", b"2", Content_Range="bytes 2-4/10"),
        reply("206 Partial Content", b"234"),
        reply("206 Partial Content", b"234", Content_Range="bytes */10"),
    ],
)
def test_another_range_than_was_asked_for_is_refused(answer: bytes) -> None:
    with pytest.raises(TransportError):
        get(answer, 2, 3)


@pytest.mark.parametrize("encoding", ["chunked", "Chunked", "gzip, chunked", "identity", ""])
@pytest.mark.parametrize("length", [None, 3])
def test_heads_of_chunks_are_not_taken_for_an_object(length: int | None, encoding: str) -> None:
    headers = {"Transfer_Encoding": encoding, "Content_Length": "3"}
    if length:
        headers["Content_Range"] = "bytes 0-2/3"
    status = "206 Partial Content" if length else "200 OK"

    with pytest.raises(TransportError, match="does not answer as an S3 server"):
        get(reply(status, b"3\r\nabc\r\n0\r\n\r\n", **headers), 0, length)


def test_an_endless_body_ends_where_it_was_asked_to() -> None:
    def endless(_: Request) -> Iterator[bytes]:
        yield reply("206 Partial Content", Content_Length="1000", Content_Range="bytes 0-999/1000")
        yield from itertools.repeat(PIECE)

    found = bytearray()
    with Scripted(endless) as server:
        assert connect(server.url).get("file", found.extend, 0, 1000) == 1000
    assert len(found) == 1000


def test_a_sink_stops_a_body_that_is_longer_than_it_should_be() -> None:
    def endless(_: Request) -> Iterator[bytes]:
        yield reply("200 OK", Content_Length=str(2**62))
        yield from itertools.repeat(PIECE)

    def full(_: memoryview) -> None:
        raise ZeroDivisionError

    with Scripted(endless) as server, pytest.raises(ZeroDivisionError):
        connect(server.url).get("file", full)


def test_an_object_that_changes_between_ranges_is_not_noticed_here() -> None:
    """That is for the SHA-256 of the pack to find: a server's word is worth nothing."""
    bodies = iter([b"012", b"XYZ"])
    ranges = iter(["bytes 0-2/6", "bytes 3-5/6"])

    found = bytearray()
    with Scripted(
        lambda _: reply("206 Partial Content", next(bodies), Content_Range=next(ranges))
    ) as server:
        transport = connect(server.url)
        transport.get("file", found.extend, 0, 3)
        transport.get("file", found.extend, 3, 3)

    assert found == b"012XYZ"


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
@pytest.mark.parametrize(
    "act",
    [
        lambda one: one.size("file"),
        lambda one: one.get("file", len),
        lambda one: one.list("", 10),
        lambda one: one.publish("file", DATA, replace=True),
        lambda one: one.delete("file"),
    ],
    ids=["size", "get", "list", "publish", "delete"],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"], ids=["port", "host"])
def test_nothing_follows_a_redirect_to_another_address(
    address: str, status: str, act: Callable[[S3Transport], object]
) -> None:
    with (
        Scripted(lambda _: reply("200 OK", DATA), address) as other,
        Scripted(lambda one: reply(status, Location=other.url + one.target)) as server,
    ):
        with pytest.raises(TransportError, match="another address"):
            act(connect(server.url))

        assert other.seen == []
        assert len(server.seen) == 1


@pytest.mark.parametrize("location", [None, "/bucket/top/file", "//x.localhost/"])
def test_no_redirect_is_followed_at_all(location: str | None) -> None:
    with Scripted(lambda _: reply("307 Temporary Redirect", Location=location)) as server:
        with pytest.raises(TransportError, match="another address"):
            connect(server.url).get("file", len)

        assert len(server.seen) == 1


def test_an_upload_that_the_server_does_not_have_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(DATA)

    def forget(request: Request) -> bytes:
        return error("404 Not Found", "NoSuchKey") if request.method == "HEAD" else reply("200 OK")

    with Scripted(forget) as server, pytest.raises(TransientError, match="does not have it"):
        connect(server.url).put("file", tmp_path / "source", len(DATA))


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        ("403 Forbidden", "AccessDenied", TransportError, "s3:GetObject for s3://bucket/top"),
        ("403 Forbidden", "SignatureDoesNotMatch", TransportError, "secret key is not the one"),
        ("403 Forbidden", "RequestTimeTooSkewed", TransportError, "clock"),
        ("403 Forbidden", "ExpiredToken", TransportError, "session has expired"),
        ("401 Unauthorized", "", TransportError, "s3:GetObject"),
        ("403 Forbidden", "QuotaExceeded", StorageError, "quota"),
        ("507 Insufficient Storage", "", StorageError, "full"),
        ("404 Not Found", "NoSuchBucket", TransportError, "bucket of s3://bucket/top does not"),
        ("404 Not Found", "NoSuchKey", MissingError, "s3://bucket/top/file does not exist"),
        ("503 Slow Down", "SlowDown", TransientError, "503 SlowDown"),
        ("500 Internal Server Error", "InternalError", TransientError, "500"),
        ("429 Too Many Requests", "", TransientError, "429"),
        ("400 Bad Request", "XAmzContentSHA256Mismatch", TransientError, "400"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", TransportError, "400"),
        ("418 Teapot", "Tea", TransportError, "418 Tea"),
        ("999 None", "", TransientError, "999"),
    ],
)
def test_errors_are_translated_and_not_repeated(
    status: str, code: str, kind: type[AirgapError], says: str
) -> None:
    with pytest.raises(AirgapError) as caught:
        get(error(status, code))

    shown = "".join(traceback.format_exception(caught.value))
    assert type(caught.value) is kind
    assert says in f"{caught.value} {caught.value.hint}"
    for secret in ("SECRETSECRET", "SESSIONTOKEN", "IDENTITY"):
        assert secret not in shown + caught.value.hint


def test_errors_are_asked_for_once() -> None:
    with Scripted(lambda _: error("503 Slow Down", "SlowDown")) as server:
        with pytest.raises(TransientError):
            connect(server.url).get("file", len)

        assert len(server.seen) == 1


def test_the_reason_of_a_refusal_is_asked_for() -> None:
    def refuse(request: Request) -> bytes:
        if request.method == "HEAD":
            return reply("403 Forbidden")
        return error("403 Forbidden", "InvalidAccessKeyId")

    with Scripted(refuse) as server, pytest.raises(TransportError) as caught:
        connect(server.url).size("file")

    assert "InvalidAccessKeyId" in str(caught.value)


def test_a_size_that_only_a_range_gives_can_be_read_again() -> None:
    connections: set[threading.Thread] = set()

    def answer(request: Request) -> bytes:
        connections.add(threading.current_thread())
        if request.method == "HEAD":
            return reply("403 Forbidden", Connection=None)
        return reply("206 Partial Content", b"x", Connection=None, Content_Range="bytes 0-0/10")

    with Scripted(answer, persistent=True) as server:
        transport = connect(server.url)
        assert [transport.size("file") for _ in range(3)] == [10, 10, 10]
        transport.close()
    assert len(connections) == 1


def test_nothing_but_the_options_decides() -> None:
    with Scripted(lambda _: reply("200 OK", DATA)) as server:
        connect(server.url).get("file", len)

        sent = server.seen[0]
    assert "Credential=IDENTITY/" in sent.headers["authorization"]
    assert sent.headers["x-amz-security-token"] == "SESSIONTOKEN"
    assert "OTHER" not in repr(sent)


def test_anonymous_requests_carry_nothing() -> None:
    with Scripted(lambda _: reply("200 OK", DATA)) as server:
        connect(server.url, keys=None).get("file", len)

        sent = server.seen[0]
    assert not {"authorization", "x-amz-security-token"} & set(sent.headers)


def entry(key: str) -> str:
    date = "2009-10-12T17:50:30.000Z"
    return f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>{date}</LastModified></Contents>"


def listing(*keys: str, more: str = "", before: str = "") -> bytes:
    text = f"<ListBucketResult>{more}{''.join(map(entry, keys))}</ListBucketResult>"
    return reply("200 OK", f"<?xml version='1.0'?>{before}{text}".encode())


ENTITIES = "".join(
    f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' if number else '<!ENTITY e0 "bomb">'
    for number in range(10)
)


@pytest.mark.parametrize(
    "answer",
    [
        listing("top/&e9;", before=f"<!DOCTYPE x [{ENTITIES}]>"),
        listing("top/&x;", before='<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        listing("top/../x"),
        listing("top//x"),
        listing("top/&#10;x"),
        reply("200 OK", b"<html>"),
        listing("top/\x9b2J"),
        listing(*(f"top/{number}{'k' * 300_000}" for number in range(30))),
        reply("200 OK", b"<a>" * 10_000),
        reply("200 OK", b""),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x00\x1b[2J" * 1000,
    ],
)
def test_listings_that_are_none_are_refused(answer: bytes) -> None:
    with Scripted(lambda _: answer) as server, pytest.raises(TransportError):
        connect(server.url).list("", 10)


def test_keys_outside_the_folder_are_not_listed() -> None:
    with Scripted(lambda _: listing("other/x", "topmost", "top/good", "top")) as server:
        assert connect(server.url).list("", 10) == ["good"]


def pages(name: Callable[[int], str]) -> Callable[[Request], bytes]:
    """Answer every request for a listing with a full page, and the promise of more."""
    numbers = itertools.count()
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    return lambda _: listing(*(name(next(numbers)) for _ in range(1000)), more=more)


def test_a_listing_that_repeats_itself_is_refused() -> None:
    with Scripted(pages(lambda number: f"top/a/~{number}")) as server:
        with pytest.raises(TransportError, match="does not end"):
            connect(server.url).list("", 10)

        assert len(server.seen) == 2


def test_a_listing_of_ever_more_names_is_refused() -> None:
    with Scripted(pages(lambda number: f"top/{number:09}")) as server:
        with pytest.raises(CorruptError):
            connect(server.url).list("", 1500)

        assert len(server.seen) == 2


def test_a_listing_of_ever_more_empty_pages_is_given_up() -> None:
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    with Scripted(lambda _: listing(more=more)) as server:
        with pytest.raises(TransportError, match="does not end"):
            connect(server.url).list("", 10)

        assert len(server.seen) == 101


def test_what_follows_in_a_folder_is_skipped() -> None:
    """Otherwise the list of a depot's bundles would be that of all their files."""

    def page(request: Request) -> bytes:
        if "start-after=top%2Fa%2F~" in request.target:
            return listing("top/b/x", "top/c")
        return listing(*(f"top/a/{number}" for number in range(1000)))

    with Scripted(page) as server:
        assert connect(server.url).list("", 10) == ["a", "b", "c"]


def test_a_server_without_conditions_is_asked_first() -> None:
    there: list[bytes] = []

    def old(request: Request) -> bytes:
        if "if-none-match" in request.headers:
            return error("501 Not Implemented", "NotImplemented")
        if request.method == "PUT":
            there.append(request.body)
        return reply("200 OK", there[-1]) if there else error("404 Not Found", "NoSuchKey")

    with Scripted(old) as server:
        transport = connect(server.url)
        assert transport.publish("file", DATA) is True
        assert transport.publish("file", b"other") is False

    assert there == [DATA]
    assert not transport.capabilities.creates_exclusively
    assert not transport.clone().capabilities.creates_exclusively


def test_a_server_that_passes_over_conditions_is_found_out() -> None:
    there: list[bytes] = []

    def careless(request: Request) -> bytes:
        if request.method == "PUT":
            there.append(request.body)
        return reply("200 OK", there[-1]) if there else error("404 Not Found", "NoSuchKey")

    with Scripted(careless) as server:
        transport = connect(server.url)
        assert transport.publish("file", DATA) is True
        assert not transport.capabilities.creates_exclusively
        assert transport.publish("file", b"other") is False

    assert set(there) == {DATA}


def test_a_write_that_met_another_is_tried_again() -> None:
    def busy(request: Request) -> bytes:
        if request.method == "PUT":
            return error("409 Conflict", "ConditionalRequestConflict")
        return error("404 Not Found", "NoSuchKey")

    with Scripted(busy) as server, pytest.raises(TransientError, match="another client"):
        connect(server.url).publish("file", DATA)


@pytest.mark.parametrize("part", [1, 2])
def test_what_was_sent_of_an_upload_that_fails_is_removed(part: int, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(9 * 1024 * 1024))

    def fail(request: Request) -> bytes:
        if request.method == "POST" and "uploads" in request.target:
            return reply("200 OK", b"<R><UploadId>U</UploadId></R>")
        if f"partNumber={part}" in request.target:
            return error("507 Insufficient Storage", "")
        if request.method == "HEAD":
            return reply("404 Not Found")
        return reply("200 OK")

    with Scripted(fail) as server:
        with pytest.raises(StorageError):
            connect(server.url).put("file", tmp_path / "source", 9 * 1024 * 1024)

        assert ("DELETE", "/bucket/top/file?uploadId=U") in [
            (one.method, one.target) for one in server.seen
        ]
        assert not [one for one in server.seen if one.method == "POST" and "uploadId" in one.target]


@pytest.mark.parametrize("size", [3, 20 * 1024 * 1024])
def test_a_file_that_grows_or_shrinks_is_not_uploaded(size: int, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(size))

    def answer(request: Request) -> bytes:
        if request.method == "HEAD":
            return reply("404 Not Found")
        return reply("200 OK", b"<R><UploadId>U</UploadId></R>")

    for declared in (size - 1, size + 1):
        with Scripted(answer) as server:
            with pytest.raises(StorageError, match="changed"):
                connect(server.url).put("file", tmp_path / "source", declared)

            done = [one for one in server.seen if one.method == "POST" and "=U" in one.target]
            assert not done


def test_a_source_that_is_gone_is_reported(tmp_path: Path) -> None:
    with (
        Scripted(lambda _: reply("404 Not Found")) as server,
        pytest.raises(StorageError, match="source"),
    ):
        connect(server.url).put("file", tmp_path / "source", 3)


ACTS: dict[str, Callable[[S3Transport], object]] = {
    "size": lambda one: one.size("file"),
    "get": lambda one: one.get("file", len),
    "list": lambda one: one.list("", 10),
    "write": lambda one: one.publish("file", DATA, replace=True),
    "create": lambda one: one.publish("file", DATA),
    "delete": lambda one: one.delete("file"),
}
CHUNKED = "HTTP/1.1 {} X\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + PIECE + b"\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "an error": (CHUNKED.format(403).encode(), CHUNK),
    "an error without chunks": (b"HTTP/1.1 500 X\r\n\r\n", PIECE),
    "a missing object": (CHUNKED.format(404).encode(), CHUNK),
    "a success": (CHUNKED.format(200).encode(), CHUNK),
    "headers": (b"HTTP/1.1 200 X\r\n", b"X-A: b\r\n" * 8192),
    "one header": (b"HTTP/1.1 200 X\r\nX-A: ", PIECE),
    "the status": (b"HTTP/1.1 200 ", PIECE),
    "promises to go on": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2600),
    "trailers": (CHUNKED.format(403).encode() + b"0\r\n", b"X-A: b\r\n" * 8192),
    "the length of a chunk": (CHUNKED.format(403).encode(), b"0" * 65536),
    "chunks of one byte": (CHUNKED.format(403).encode(), b"1\r\nx\r\n" * 10_000),
    "names": (
        CHUNKED.format(200).encode() + b"12\r\n<ListBucketResult>\r\n",
        b"%x\r\n%s\r\n" % (len(entry("top/x") * 100), entry("top/x").encode() * 100),
    ),
}
MOST_BYTES = 64 * 1024 * 1024  # the buffers of two sockets come on top of the largest limit


@pytest.mark.parametrize(
    ("endless", "act"),
    [
        *((endless, act) for endless in ENDLESS for act in ("get", "list")),
        *((endless, act) for endless in ("an error", "a success") for act in ACTS),
    ],
)
def test_an_endless_response_is_given_up_after_a_number_of_bytes(endless: str, act: str) -> None:
    head, more = ENDLESS[endless]
    sent = 0

    def answer(request: Request) -> Iterator[bytes]:
        nonlocal sent
        yield head
        if request.method == "HEAD" and not endless.startswith(
            ("headers", "one", "the", "promises")
        ):
            return
        while sent < 2 * MOST_BYTES:
            sent += len(more)
            yield more

    with Scripted(answer) as server, suppress(TransportError, MissingError):
        ACTS[act](connect(server.url))
    assert sent < MOST_BYTES


@pytest.mark.parametrize("act", ACTS)
def test_a_response_that_drips_is_given_up_after_a_time(act: str) -> None:
    ended = threading.Event()

    def answer(_: Request) -> Iterator[bytes]:
        yield b"HTTP/1.1 403 X\r\n"
        while not ended.wait(0.02):
            yield b"X"

    with Scripted(answer) as server:
        with pytest.raises(TransientError, match="stalled"):
            ACTS[act](connect(server.url, timeout=0.2))
        ended.set()


def test_a_body_that_drips_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(client, "LeastSpeed", lambda name: LeastSpeed(name, lambda: next(clock)))

    def answer(_: Request) -> Iterator[bytes]:
        yield reply("200 OK", Content_Length="100000")
        while True:
            yield b"x"

    with Scripted(answer) as server, pytest.raises(TransportError, match="is too slow") as caught:
        connect(server.url).get("file", len)
    assert not isinstance(caught.value, TransientError)


def test_a_listing_holds_no_more_keys_than_were_requested() -> None:
    with (
        Scripted(lambda _: listing(*(f"top/{number}" for number in range(1001)))) as server,
        pytest.raises(TransportError, match="does not answer as an S3 server"),
    ):
        connect(server.url).list("", 10_000)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A private CA."""
    return Authority(tmp_path)


def speak(issued: Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


def test_a_private_ca_is_enough(authority: Authority) -> None:
    tls = speak(authority.issue("good"))

    with Scripted(lambda _: reply("200 OK", DATA), tls=tls) as server:
        assert connect(server.url, ca_file=authority.file).get("file", len) == len(DATA)


@pytest.mark.parametrize("flaw", ["unknown", "self-signed", "expired", "future", "host"])
def test_a_certificate_that_proves_nothing_is_refused(
    flaw: str, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    made: dict[str, Callable[[], Issued]] = {
        "unknown": lambda: other.issue("unknown"),
        "self-signed": lambda: self_signed(tmp_path, "alone"),
        "expired": lambda: authority.issue("expired", days=(-9, -2)),
        "future": lambda: authority.issue("future", days=(2, 9)),
        "host": lambda: authority.issue("host", hosts=["example.org", "127.0.0.2"]),
    }

    with Scripted(lambda _: reply("200 OK", DATA), tls=speak(made[flaw]())) as server:
        with pytest.raises(TransportError, match="certificate"):
            connect(server.url, ca_file=authority.file).get("file", len)

        assert server.seen == []


def test_encryption_is_not_left_by_a_redirect(authority: Authority) -> None:
    tls = speak(authority.issue("good"))

    with (
        Scripted(lambda _: reply("200 OK", DATA)) as plain,
        Scripted(lambda one: reply("302 F", Location=plain.url + one.target), tls=tls) as server,
    ):
        with pytest.raises(TransportError, match="another address"):
            connect(server.url, ca_file=authority.file).get("file", len)

        assert plain.seen == []


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nx"])
def test_a_ca_file_that_is_invalid_is_reported(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"CA|these options"):
        connect("https://127.0.0.1", ca_file=tmp_path / "ca.pem").get("file", len)


def test_a_ca_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        connect("https://127.0.0.1", ca_file=tmp_path / "ca.pem").get("file", len)


def test_a_host_that_is_not_known_is_reported() -> None:
    with pytest.raises(TransientError, match="cannot be resolved"):
        connect("https://nowhere.invalid").get("file", len)


@pytest.mark.parametrize(
    ("endpoint", "given", "sent"),
    [
        ("", None, True),
        ("", False, False),
        ("https://s3.ward", None, False),
        ("https://s3.ward", True, True),
    ],
)
def test_a_checksum_to_be_stored_is_sent_where_it_is_known(
    endpoint: str,
    given: bool | None,  # noqa: FBT001
    sent: bool,  # noqa: FBT001
) -> None:
    options = S3Options("bucket", keys=KEYS, endpoint=endpoint, checksums=given)

    assert options.stores_checksums is sent


def test_every_body_is_signed_with_its_digest() -> None:
    with Scripted(lambda _: reply("200 OK", DATA)) as server:
        connect(server.url, checksums=True).publish("file", DATA, replace=True)

        sent = server.seen[0].headers
    assert sent["x-amz-content-sha256"] == hashlib.sha256(DATA).hexdigest()
    assert "x-amz-content-sha256" in sent["authorization"]
    assert sent["x-amz-checksum-sha256"] == b64encode(hashlib.sha256(DATA).digest()).decode()
