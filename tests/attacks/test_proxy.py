"""A proxy that lies, floods and asks for more than it is given (threat model: transports)."""

import itertools
import socket
import ssl
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.errors import ConfigurationError, TransportError, UsageError
from airgap.flow.redaction import redact
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.port import TransientError
from airgap.transport.proxy import Proxy, open_tunnel
from airgap.transport.s3.options import S3Keys, S3Options
from airgap.transport.s3.transport import S3Transport
from airgap.transport.url import parse
from tests.servers import silent
from tests.servers.certificates import Authority, self_signed
from tests.servers.connect_proxy import ConnectProxy
from tests.servers.scripted import Request, Scripted, reply
from tests.support.sides import Side, Site

KEYS = S3Keys("IDENTITY", "SECRETSECRET")
SERVER = "https://depot.example:8443"
LOGIN = ("carrier", "open sesame")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def reach(proxy_url: str, timeout: float = 10.0, login: tuple[str, str] = ("", "")) -> None:
    """Look at an object of a server that cannot be reached but through the proxy."""
    port = urlsplit(proxy_url).port
    assert port
    options = S3Options(
        "bucket",
        keys=KEYS,
        endpoint=SERVER,
        timeout=timeout,
        proxy=Proxy("127.0.0.1", port, *login),
    )
    S3Transport(options).size("file")


def head(status: str, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}\r\n".encode()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (head("403 Forbidden"), r"does not connect to depot\.example:8443 \(status 403\)"),
        (head("302 Found", "Location: http://evil.example/\r\n"), r"\(status 302\)"),
        (head("101 Switching Protocols"), r"\(status 101\)"),
        (head("407 Proxy Authentication Required"), "requires a login"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not answer as an HTTP proxy"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "does not answer as an HTTP proxy"),
        (b"HTTP/1.1 200 x\n\n\r\n\r\n", "does not answer as an HTTP proxy"),
        (head("200 OK") + b"\x16\x03\x03", "does not answer as an HTTP proxy"),
        (b"HTTP/1.1 200 " + b"x" * 20_000 + b"\r\n\r\n", "does not answer as an HTTP proxy"),
    ],
    ids=["403", "redirect", "101", "407", "ssh", "status", "line", "early", "long"],
)
def test_a_proxy_that_answers_this_is_refused(answer: bytes, text: str) -> None:
    with Scripted(lambda _: answer) as proxy, pytest.raises(TransportError, match=text) as refused:
        reach(proxy.url)

    assert not isinstance(refused.value, TransientError)
    assert "evil" not in f"{refused.value} {refused.value.hint}"
    assert [(one.method, one.target) for one in proxy.seen] == [("CONNECT", "depot.example:8443")]


def test_an_answer_without_end_is_broken_off() -> None:
    sent = itertools.count()

    def flood(_: Request) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X-%d: x\r\n" % next(sent)

    with Scripted(flood) as proxy, pytest.raises(TransportError, match="does not answer as"):
        reach(proxy.url)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (head("503 Service Unavailable"), r"\(status 503\)"),
        (b"HTTP/1.1 200 OK\r\n", "hung up"),
        (b"", "hung up"),
    ],
)
def test_what_may_pass_is_tried_again(answer: bytes, text: str) -> None:
    with Scripted(lambda _: answer) as proxy, pytest.raises(TransientError, match=text):
        reach(proxy.url)


def test_a_proxy_that_is_silent_has_a_limit_in_time() -> None:
    with silent.endpoint() as proxy, pytest.raises(TransientError, match="in time"):
        reach(proxy.url, timeout=0.2)


def test_a_proxy_that_is_not_there_is_named() -> None:
    with Scripted(lambda _: b"") as proxy:
        url = proxy.url

    with pytest.raises(TransientError, match=r"The proxy 127\.0\.0\.1:\d+ cannot be reached"):
        reach(url)


def test_a_proxy_that_opens_tls_is_refused_by_its_certificate(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "site"), Authority(tmp_path, "inspector")
    shown = other.issue("middle")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(shown.certificate, shown.key)
    with Scripted(lambda _: reply("200 OK"), tls=tls) as middle, ConnectProxy() as proxy:
        options = S3Options(
            "bucket",
            keys=KEYS,
            endpoint=middle.url,
            ca_file=authority.file,
            proxy=Proxy("127.0.0.1", proxy.port),
        )
        transport = S3Transport(options)
        with pytest.raises(TransportError, match="no certificate that is trusted") as refused:
            transport.size("file")

    assert "exempted" in refused.value.hint
    assert middle.seen == []


def test_the_login_is_neither_printed_nor_sent_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = self_signed(tmp_path, "server")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(issued.certificate, issued.key)
    with (
        Scripted(lambda _: reply("200 OK", Content_Length="3"), tls=tls) as server,
        ConnectProxy(":".join(LOGIN)) as proxy,
    ):
        monkeypatch.setenv("SECRET", LOGIN[1])
        url = f"http://{LOGIN[0]}@127.0.0.1:{proxy.port}"
        options = {
            "endpoint": server.url,
            "ca": str(issued.certificate),
            "timeout": "10",
            "proxy": url,
            "proxy_password_env": "SECRET",
        }
        transport = open_transport(parse("s3://bucket"), Login("ID", "KEYKEY"), options)
        assert transport.size("file") == 3
        transport.close()
        assert len(proxy.targets) == 1

        monkeypatch.setenv("SECRET", "wrong password")
        transport = open_transport(parse("s3://bucket"), Login("ID", "KEYKEY"), options)
        with pytest.raises(TransportError, match="does not accept the login") as refused:
            transport.size("file")

    (request,) = server.seen
    assert not any("proxy" in name for name in request.headers)
    printed = "".join(traceback.format_exception(refused.value))
    for secret in ("sesame", "wrong password", "carrier"):
        assert secret not in f"{refused.value} {refused.value.hint} {printed}"
    assert redact(f"{LOGIN[1]} wrong password") == "*** ***"


def test_a_url_cannot_bring_a_proxy(small: Side, site: Site) -> None:
    for option in ("proxy", "proxy_password_env"):
        url = f"s3://bucket/depot?{option}=http://evil.example"
        ran = small.run("export", "shop:v1", "-o", url, "--key", site.key(), "--json")

        assert ran.code == UsageError.exit_code
        assert f"{option} cannot be given in a URL" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    "value",
    [
        "https://proxy.example",
        "socks5://proxy.example",
        "http://",
        "http://proxy.example/path",
        "http://proxy.example:99999",
        "http://pro xy.example",
        "http://proxy.example\r\nX: y",
        "http://carrier:geheim@proxy.example",
        "proxy.example:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_transport(
            parse("s3://bucket"), Login("ID", "KEY"), {"endpoint": SERVER, "proxy": value}
        )

    assert "geheim" not in f"{refused.value} {refused.value.hint}"


@given(st.sampled_from([b"", b"HTTP/1.1 200 "]), st.binary(max_size=300))
def test_any_answer_opens_a_tunnel_or_is_refused(start: bytes, answer: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        right.sendall(start + answer)
        right.shutdown(socket.SHUT_WR)
        with suppress(TransportError):
            open_tunnel(left, Proxy("proxy", 80), ("depot.example", 443), 5.0)
            assert answer.endswith(b"\r\n\r\n")
