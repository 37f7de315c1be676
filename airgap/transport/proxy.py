"""An HTTP proxy, and the tunnel through it to a server (RFC 9110, 9.3.6).

A proxy is used only where the config file says so. TLS goes through the tunnel from end to end: a
proxy that opens it shows a certificate of its own, which is refused. What it answers is not
trusted, has limits, and is never shown except for its status.
"""

import base64
import ipaddress
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from airgap.errors import ConfigurationError, TransportError
from airgap.transport.port import TransientError
from airgap.transport.secrets import register_secret

__all__ = [
    "ENVIRONMENT",
    "Proxy",
    "choose_proxy",
    "find_proxy",
    "name_ignored_variable",
    "open_tunnel",
    "parse_proxy",
]

ENVIRONMENT: Final = "environment"
_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY")  # in this order, as curl reads them
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_PORT: Final = 80
_HEAD_BYTES: Final = 16 * 1024
_PIECE_BYTES: Final = 4096
_LEAST_SECONDS: Final = 0.001  # 0 would not wait at all
_HEAD_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
_LOGIN_REQUIRED: Final = 407
_SUCCESSES: Final = range(200, 300)
_SERVER_ERRORS: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and who logs in to it; without a user nobody does."""

    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Write it for messages: without user and password."""
        return _join(self.host, self.port)


def choose_proxy(option: str, password: str | None, address: tuple[str, int]) -> Proxy | None:
    """Return the proxy to a server that the option names, itself or by the variables.

    Args:
        option: ``environment``, the URL of a proxy, or empty for none.
        password: of the user in that URL.
        address: the server's host and port.

    Raises:
        ConfigurationError: the option, or a variable, cannot be used.
    """
    if option == ENVIRONMENT:
        return find_proxy(os.environ, *address)
    return parse_proxy(option, password) if option else None


def parse_proxy(text: str, password: str | None) -> Proxy:
    """Parse the value of the option ``proxy``: ``http://[USER@]HOST[:PORT]``.

    Raises:
        ConfigurationError: it is something else, or has a password in it.
    """
    url = _split(text, "The option proxy")
    if url.password is not None:
        raise ConfigurationError(
            "The option proxy contains a password.",
            "Leave it out, and name a variable that has it: proxy_password_env.",
        )
    return _make(url, password or "")


def find_proxy(environ: Mapping[str, str], host: str, port: int) -> Proxy | None:
    """Return the proxy that HTTPS_PROXY and NO_PROXY choose for a server; None for none.

    Raises:
        ConfigurationError: the value of a variable cannot be used.
    """
    name = next((name for name in _VARIABLES if environ.get(name)), None)
    if name is None:
        return None
    exceptions = next((environ[name] for name in _EXCEPTIONS if environ.get(name)), "")
    if any(_matches(one.strip().lower(), host.lower(), port) for one in exceptions.split(",")):
        return None
    text = environ[name]
    url = _split(text if "://" in text else f"http://{text}", name)
    return _make(url, unquote(url.password or ""))


def name_ignored_variable(environ: Mapping[str, str]) -> str:
    """Return a sentence for hints if a variable names a proxy; else an empty text."""
    name = next((name for name in _VARIABLES if environ.get(name)), None)
    return f" {name} is set, and not used without the option proxy." if name else ""


def open_tunnel(
    connection: socket.socket, proxy: Proxy, address: tuple[str, int], seconds: float
) -> None:
    """Ask a proxy for a tunnel to a server; afterwards, the connection is one to that server.

    Raises:
        TransientError: the proxy took too long, hung up, or could not reach the server.
        TransportError: it requires a login, refused, or does not answer as a proxy.
        OSError: the connection broke.
    """
    target = _join(*address)
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: airgap"]
    if proxy.user:
        token = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {register_secret(token)}")
    connection.settimeout(seconds)
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = _receive_head(connection, proxy, time.monotonic() + seconds)
    match = _STATUS.match(head)
    # What follows at once would be taken for the server's, which never speaks first.
    if match is None or head.partition(_HEAD_END)[2]:
        raise _not_a_proxy_error(proxy)
    status = int(match[1])
    if status not in _SUCCESSES:
        raise _explain(status, proxy, target)


def _receive_head(connection: socket.socket, proxy: Proxy, deadline: float) -> bytes:
    """Receive until the end of the head, within limits of bytes and time."""
    head = b""
    while _HEAD_END not in head:
        connection.settimeout(max(deadline - time.monotonic(), _LEAST_SECONDS))
        try:
            piece = connection.recv(_PIECE_BYTES)
        except TimeoutError:
            raise TransientError(
                f"The proxy {proxy} does not answer in time.", "Check the proxy and the network."
            ) from None
        head += piece
        if not piece:
            raise TransientError(
                f"The proxy {proxy} hung up.", "Check that it permits connections to this server."
            )
        if len(head) > _HEAD_BYTES:
            raise _not_a_proxy_error(proxy)
    return head


def _explain(status: int, proxy: Proxy, target: str) -> TransportError:
    """Make the error of a proxy that refused; its own words may be anybody's."""
    if status == _LOGIN_REQUIRED:
        what = "does not accept the login" if proxy.user else "requires a login"
        return TransportError(
            f"The proxy {proxy} {what}.",
            "Give the user in the option proxy (http://USER@HOST:PORT) and the password in"
            " proxy_password_env, or both in HTTPS_PROXY.",
        )
    message = f"The proxy {proxy} does not connect to {target} (status {status})."
    if status in _SERVER_ERRORS:
        return TransientError(message, "Check that the server can be reached from the proxy.")
    return TransportError(message, "Ask the proxy's administrator to permit it.")


def _not_a_proxy_error(proxy: Proxy) -> TransportError:
    return TransportError(
        f"{proxy} does not answer as an HTTP proxy.", "Check the host and port of the proxy."
    )


def _split(text: str, name: str) -> SplitResult:
    """Split a proxy's URL; messages name where it is from, because it may contain a password.

    Raises:
        ConfigurationError: it is not an http:// URL with a host.
    """
    try:
        url = urlsplit(text)
        valid = url.scheme == "http" and bool(url.hostname) and url.port != 0
        valid = valid and not (url.path.strip("/") or url.query or url.fragment)
    except ValueError:
        valid, url = False, SplitResult("", "", "", "", "")
    if not valid or not text.isprintable() or " " in text:
        raise ConfigurationError(
            f"{name} does not name an HTTP proxy.",
            "Write http://HOST:PORT; proxies over TLS or SOCKS are not supported.",
        )
    return url


def _make(url: SplitResult, password: str) -> Proxy:
    if password:
        register_secret(password)
    return Proxy(url.hostname or "", url.port or _PORT, unquote(url.username or ""), password)


def _matches(exception: str, host: str, port: int) -> bool:
    """Tell whether an entry of NO_PROXY is for a host: a name and all below it, or addresses."""
    name, colon, number = exception.rpartition(":")
    if colon and number.isdecimal() and not name.endswith(":") and "/" not in exception:
        exception = name if number.lstrip("0") == str(port) else ""
    exception = exception.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:  # one of them is a name
        suffix = exception.lstrip("*.")
        return exception == "*" or bool(suffix and f".{host}".endswith(f".{suffix}"))


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
