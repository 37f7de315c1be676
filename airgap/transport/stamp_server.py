"""A server that issues time stamps: one request of RFC 3161 over HTTP, and its response.

Nothing but the one server is connected to, no redirect is followed, and the response has a limit in
bytes and in time. Without TLS it is safe too: the response is signed, and only for this request.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from airgap.errors import ConfigurationError, TransportError, UsageError
from airgap.format import limits
from airgap.printable import quote
from airgap.transport.http import HttpConnection, Response, Route
from airgap.transport.https import explain_failures, load_tls
from airgap.transport.port import TransientError
from airgap.transport.proxy import choose_proxy
from airgap.transport.tls import ClientCertificate

__all__ = ["StampServer", "parse_server", "request_stamp"]

_PORTS: Final = {"https": 443, "http": 80}
_SECONDS: Final = 30.0
_HINT: Final = "Check the URL, and ask who runs the server."
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_QUERY_TYPE: Final = "application/timestamp-query"
_REPLY_TYPE: Final = "application/timestamp-reply"
_URL_CHARACTERS: Final = 2048


@dataclass(frozen=True, slots=True)
class StampServer:
    """A server's URL, and the way to it. ``seconds`` bounds the connection and the response."""

    url: str
    ca_file: Path | None = None
    client: ClientCertificate | None = None
    proxy: str = ""
    proxy_password: str | None = field(default=None, repr=False)
    seconds: float = _SECONDS

    @property
    def encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("https:")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def parse_server(text: str) -> str:
    """Return the URL of a server.

    Raises:
        UsageError: it is not an ``http`` or ``https`` URL, or has a user in it.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        valid = valid and parts.username is None and not parts.fragment
    except ValueError:
        valid = False
    if not valid or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(
            f"{quote(text)} is not the URL of a server for time stamps.",
            "Write http://HOST/PATH or https://HOST/PATH, without a user.",
        )
    if len(text) > _URL_CHARACTERS:
        raise UsageError(f"The URL has more than {_URL_CHARACTERS} characters.", "Shorten it.")
    return text


def request_stamp(server: StampServer, query: bytes) -> bytes:
    """Send a request; return the response's bytes, whatever they are.

    Raises:
        ConfigurationError: the CA, the client's certificate or the proxy cannot be used.
        TransportError: the server cannot be reached, is too slow, redirects, or answers with
            something else than a response of RFC 3161, or with too many bytes.
    """
    parts = urlsplit(server.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "host": parts.netloc,
        "user-agent": "airgap",
        "content-type": _QUERY_TYPE,
        "accept": _REPLY_TYPE,
        "content-length": str(len(query)),
        "connection": "close",
    }
    with closing(_connect(server)) as connection, _explain(server.url):
        response = connection.request("POST", target, headers, query, server.seconds)
        return _read(response, server.url)


def _read(response: Response, url: str) -> bytes:
    if response.status in _REDIRECTS:
        raise _refuse(url, "redirects to another address, which is not followed")
    if response.status != _OK:
        raise _refuse(url, f"refuses the request (status {response.status})")
    if response.header("content-type").partition(";")[0].strip().lower() != _REPLY_TYPE:
        raise _refuse(url, "does not answer with a time stamp")
    try:
        return response.read_small(limits.TIME_STAMP_BYTES)
    except ValueError:
        most = f"{limits.TIME_STAMP_BYTES:,}"
        raise _refuse(url, f"answers with more than the {most} bytes of a time stamp") from None


def _connect(server: StampServer) -> HttpConnection:
    tls, proxy = load_tls(server.ca_file, server.client) if server.encrypted else None, None
    if server.proxy and not server.encrypted:
        raise ConfigurationError(
            f"{server.url} is not encrypted, and is not reached through a proxy.",
            "Use https://, or leave out --proxy.",
        )
    if server.proxy:
        proxy = choose_proxy(server.proxy, server.proxy_password, server.address)
    return HttpConnection(Route(server.address, tls, proxy), server.url, server.seconds)


@contextmanager
def _explain(url: str) -> Iterator[None]:
    """Translate what can go wrong with the connection; a person runs the command again."""
    try:
        with explain_failures(url, _HINT):
            yield
    except TransientError as error:
        raise TransportError(error.message, error.hint or "Run the same command again.") from None


def _refuse(url: str, problem: str) -> TransportError:
    return TransportError(f"{url} {problem}.", _HINT)
