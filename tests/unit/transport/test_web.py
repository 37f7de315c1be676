"""Web servers: what is read of their answers, and what a person is told of the rest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    MissingError,
    StorageError,
    TransportError,
)
from airgap.server.mirror.tokens import make_secret
from airgap.transport.port import TransientError
from airgap.transport.web.listing import parse_listing
from airgap.transport.web.options import WebOptions
from airgap.transport.web.transport import WebTransport
from tests.servers.scripted import Request, Scripted, reply

PAGE = b"<html><title>Please log in</title><a href='x'>here</a></html>"


def open_web(server: Scripted, secret: str | None = None, user: str | None = None) -> WebTransport:
    port = int(server.url.rpartition(":")[2])
    return WebTransport(
        WebOptions("127.0.0.1", "d p", port, encrypted=False, user=user, secret=secret, timeout=5)
    )


def fetch(server: Scripted, offset: int = 0, length: int | None = None) -> bytes:
    received = bytearray()
    transport = open_web(server)
    try:
        assert transport.get("packs/a", received.extend, offset, length) == len(received)
    finally:
        transport.close()
    return bytes(received)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 4, b"0123"),
        (3, 4, b"3456"),
        (8, 9, b"89"),
        (10, 1, b""),
        (99, None, b""),
    ],
)
def test_of_a_server_without_ranges_a_file_is_read_from_its_beginning(
    offset: int, length: int | None, expected: bytes
) -> None:
    with Scripted(lambda _: reply("200 OK", b"0123456789")) as server:
        assert fetch(server, offset, length) == expected


def test_after_the_beginning_of_a_file_the_next_response_is_its_own() -> None:
    answers = {"/d%20p/a": reply("200 OK", b"0123456789", Connection=None)}
    answers["/d%20p/b"] = reply("200 OK", b"abc", Connection=None)
    with Scripted(lambda request: answers[request.target], persistent=True) as server:
        transport = open_web(server)
        received = bytearray()
        transport.get("a", received.extend, 0, 4)
        transport.get("b", received.extend)
        transport.close()
    assert received == b"0123abc"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (reply("200 OK", PAGE, Content_Type="text/html; charset=utf-8"), "a web page"),
        (reply("200 OK", b"x", Content_Encoding="gzip"), "compressed"),
        (reply("200 OK", b"x", Content_Length=None), "without its length"),
        (
            reply(
                "200 OK", b"1\r\nx\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked"
            ),
            "without its length",
        ),
        (reply("206 Partial Content", b"x", Content_Range="bytes 1-1/9"), "another range"),
        (reply("206 Partial Content", b"x", Content_Range="bytes 0-8/9"), "another range"),
        (reply("206 Partial Content", b"x", Content_Range="parts 0-0/9"), "another range"),
        (reply("206 Partial Content", b"x"), "another range"),
    ],
)
def test_what_is_not_the_file_is_refused(answer: bytes, problem: str) -> None:
    with (
        Scripted(lambda _: answer) as server,
        pytest.raises(TransportError, match=problem) as caught,
    ):
        fetch(server, 0, 5)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("401 Unauthorized", TransportError, "asks for a login"),
        ("403 Forbidden", TransportError, "refuses to read packs/a"),
        ("404 Not Found", MissingError, "does not exist"),
        ("410 Gone", MissingError, "does not exist"),
        ("500 Internal Server Error", TransientError, "busy or failing"),
        ("429 Too Many Requests", TransientError, "busy or failing"),
        ("507 Insufficient Storage", StorageError, "no room"),
        ("418 Teapot", TransportError, "status 418"),
    ],
)
def test_a_refusal_is_explained(status: str, error: type[AirgapError], words: str) -> None:
    with Scripted(lambda _: reply(status, PAGE)) as server, pytest.raises(error, match=words):
        fetch(server)


def test_a_mirror_says_why_a_file_is_not_there() -> None:
    answer = reply("404 Not Found", X_Airgap_Reason="It is revoked.")
    with (
        Scripted(lambda _: answer) as server,
        pytest.raises(MissingError, match="It is revoked"),
    ):
        fetch(server)


@pytest.mark.parametrize("location", ["https://portal.example/login", "/other", "http://[", ""])
@pytest.mark.parametrize("method", ["size", "list", "get", "publish", "delete"])
def test_no_redirect_is_followed(method: str, location: str) -> None:
    heard: list[Request] = []

    def redirect(request: Request) -> bytes:
        heard.append(request)
        return reply("302 Found", Location=location)

    with Scripted(redirect) as server:
        transport = open_web(server, "secret-token")
        attempts: dict[str, Callable[[], object]] = {
            "size": lambda: transport.size("a"),
            "list": lambda: transport.list("a", 9),
            "get": lambda: transport.get("a", len),
            "publish": lambda: transport.publish("a", b"1", replace=True),
            "delete": lambda: transport.delete("a"),
        }
        with pytest.raises(TransportError, match=r"redirects to .*, which is not followed"):
            attempts[method]()
        transport.close()
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("user", "secret", "expected"),
    [
        (None, None, None),
        (None, "ag_token", "Bearer ag_token"),
        ("anna", "pass wörd", "Basic YW5uYTpwYXNzIHfDtnJk"),
    ],
)
def test_who_asks_is_said_in_a_header(
    user: str | None, secret: str | None, expected: str | None
) -> None:
    with Scripted(lambda _: reply("200 OK")) as server:
        transport = open_web(server, secret, user)
        transport.size("a")
        transport.close()
        assert server.seen[0].headers.get("authorization") == expected


def test_a_token_that_is_not_accepted_is_not_repeated() -> None:
    secret = make_secret()
    with Scripted(lambda _: reply("401 Unauthorized")) as server:
        transport = open_web(server, secret)
        with pytest.raises(TransportError, match="does not accept this token") as caught:
            transport.size("a")
        transport.close()
    assert secret not in repr((caught.value, caught.value.hint))
    assert secret not in repr(WebOptions("127.0.0.1", secret=secret))


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä"])
def test_a_token_that_no_header_holds_is_refused(token: str) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        WebOptions("127.0.0.1", secret=token)


@pytest.mark.parametrize("host", ["mirror.example", "10.0.0.1", "127.0.0.1.example", "2001:db8::1"])
def test_other_machines_are_asked_over_tls_only(host: str) -> None:
    with pytest.raises(ConfigurationError, match="not encrypted"):
        WebOptions(host, encrypted=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_may_be_asked_in_clear(host: str) -> None:
    assert WebOptions(host, "a/b", 8640, encrypted=False).url.endswith(":8640/a/b")


def test_an_upload_that_the_server_does_not_take_is_explained(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 2_000_000)

    def answer(request: Request) -> bytes:
        return reply("404 Not Found" if request.method == "HEAD" else "405 Method Not Allowed")

    with Scripted(answer) as server:
        transport = open_web(server)
        with pytest.raises(TransportError, match="refuses to write packs/a") as caught:
            transport.put("packs/a", source, 2_000_000)
        transport.close()
    assert "only read from" in caught.value.hint


def test_an_upload_that_is_confirmed_and_not_there_is_tried_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")

    def answer(request: Request) -> bytes:
        return reply("404 Not Found" if request.method == "HEAD" else "201 Created")

    with Scripted(answer) as server:
        transport = open_web(server)
        with pytest.raises(TransientError, match="confirmed packs/a, but does not have it"):
            transport.put("packs/a", source, 1)
        transport.close()


LISTINGS = {
    "nginx": (
        (
            b"<html><head><title>Index of /d/</title></head><body><h1>Index of /d/</h1><hr><pre>"
            b'<a href="../">../</a>\n<a href="bundles/">bundles/</a>  01-Dec-2026 05:00   -\n'
            b'<a href="a%20b">a b</a>  01-Dec-2026 05:00   7\n</pre></body></html>'
        ),
        "text/html",
    ),
    "apache": (
        (
            b"<html><head>\n  <title>Index of /d</title>\n</head><body><h1>Index of /d</h1>\n"
            b'<th><a href="?C=N;O=D">Name</a></th><a href="/">Parent Directory</a>'
            b'<td><a href="a%20b">a b</a></td><td><a href="bundles/">bundles/</a></td></html>'
        ),
        "text/html",
    ),
    "python": (
        (
            b"<!DOCTYPE HTML>\n<html>\n<head>\n<title>Directory listing for /d/</title>\n</head>\n"
            b'<ul>\n<li><a href="a%20b">a b</a></li>\n<li><a href="bundles/">bundles/</a></li>\n'
        ),
        "text/html",
    ),
    "nginx, JSON": (
        b'[{"name":"bundles","type":"directory"},{"name":"a b","type":"file","size":7}]',
        "application/json",
    ),
    "caddy, JSON": (
        b'[{"name":"bundles/","url":"./bundles/"},{"name":"a b","url":"./a%20b"}]',
        "application/json",
    ),
}


@pytest.mark.parametrize("server", LISTINGS)
def test_listings_of_many_servers_are_read(server: str) -> None:
    assert parse_listing(*LISTINGS[server]) == ["a b", "bundles"]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (PAGE, "text/html"),
        (b"", "text/html"),
        (b"{}", "application/json"),
        (b"[", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"\xff", "application/json"),
    ],
)
def test_what_is_not_a_listing_is_not_read_as_one(body: bytes, media_type: str) -> None:
    with pytest.raises(ValueError, match="not a listing"):
        parse_listing(body, media_type)


def test_a_listing_names_nothing_beside_its_folder() -> None:
    strange = ["../x", "/etc", "a/b", "..", ".", "", "//h/x", "http://h/x", "?q", "#f", "%2e%2e/x"]
    links = "".join(f'<a href="{one}">' for one in strange)
    page = f'<title>Index of /</title>{links}<a href="./right">'.encode()
    assert parse_listing(page, "text/html") == ["right"]


def test_a_page_in_the_place_of_a_listing_is_refused() -> None:
    with Scripted(lambda _: reply("200 OK", PAGE, Content_Type="text/html")) as server:
        transport = open_web(server)
        with pytest.raises(TransportError, match="something else than a listing"):
            transport.list("bundles", 9)
        transport.close()
