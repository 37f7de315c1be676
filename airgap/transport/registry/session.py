"""Requests to one registry: logged in, with limits, and to no other server.

No redirect is followed. The password goes to the registry, and to hosts of tokens that a person
named; a token only to the registry.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from airgap.errors import CorruptError, TransportError
from airgap.printable import make_printable
from airgap.transport.http import HttpConnection, Response, Route
from airgap.transport.https import explain_failures, load_tls
from airgap.transport.port import TransientError
from airgap.transport.proxy import choose_proxy
from airgap.transport.registry.challenge import (
    TokenServer,
    basic,
    parse_challenge,
    parse_token,
    token_server,
)
from airgap.transport.registry.options import RegistryOptions
from airgap.transport.retry import RetryPolicy
from airgap.transport.secrets import register_secret

__all__ = ["RegistryRequest", "RegistrySession"]

_TLS_HINT: Final = (
    "Check the port; a registry without TLS is written http://, and allowed with --insecure-http."
)
_ERROR_BYTES: Final = 64 * 1024
_TOKEN_BYTES: Final = 256 * 1024
_LEAST_BYTES_PER_SECOND: Final = 64 * 1024
_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
_UNAUTHORIZED, _FORBIDDEN, _OK = 401, 403, 200
_REDIRECTS: Final = range(300, 400)
_MESSAGE_CHARACTERS: Final = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """A request: ``target`` is the path with its query; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class RegistrySession:
    """A connection to a registry, on which one repository is pushed to."""

    def __init__(
        self,
        options: RegistryOptions,
        repository: str,
        mount_from: str = "",
        policy: RetryPolicy | None = None,
    ) -> None:
        """Take the registry; nothing is sent yet.

        Args:
            options: the registry.
            repository: what is pushed to.
            mount_from: another repository of it, which may have some blobs.
            policy: how often a request is tried.

        Raises:
            ConfigurationError: the file of CAs is missing or invalid.
        """
        self.options = options
        self.repository = repository
        self.mount_from = mount_from
        self._policy = policy or RetryPolicy(tries=6, wait=time.sleep)
        self._tls = (
            load_tls(options.ca_file, options.client)
            if options.encrypted or options.token_hosts
            else None
        )
        self._connection = self._connect(options.address, encrypted=options.encrypted)
        self._authorization = ""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, request: RegistryRequest) -> Response:
        """Send a request, log in if it is asked for, and return the response, whatever it is.

        Raises:
            TransientError: the connection broke, or the registry is busy.
            TransportError: it cannot be reached, redirects, or does not let this user in.
        """
        response = self._send_once(request)
        if response.status == _UNAUTHORIZED:
            self._log_in(response)
            response = self._send_once(request)
            if response.status == _UNAUTHORIZED:
                raise self._make_login_error()
        if response.status == _FORBIDDEN:
            raise TransportError(
                f"{self.options.url} does not let {self.options.user or 'anybody'} push to"
                f" {self.repository}.",
                "Ask for the right to push, or log in as another user (--user).",
                self.read_problems(response),
            )
        if response.status in _BUSY:
            self.read(response)
            raise TransientError(f"{self.options.url} is busy (status {response.status}).")
        return response

    def expect(self, request: RegistryRequest, *statuses: int) -> Response:
        """Send a request of which the response must have one of these statuses.

        Raises:
            TransientError, TransportError: as ``send``; or it has another.
        """
        response = self.send(request)
        if response.status not in statuses:
            raise self.make_error(response)
        return response

    def read(self, response: Response, limit: int = _ERROR_BYTES) -> bytes:
        """Read a body of at most ``limit`` bytes. Raises TransientError, TransportError."""
        try:
            return response.read_small(limit)
        except ValueError:
            raise self.not_a_registry("sends an answer that is too long") from None

    def make_error(self, response: Response) -> TransportError:
        """Make the error of a response that was not expected."""
        if response.status in _REDIRECTS:
            return self.not_a_registry("redirects to another address, which is not followed")
        return TransportError(
            f"{self.options.url} refuses to take {self.repository} (status {response.status}).",
            "Check the name of the repository, and ask who runs the registry.",
            self.read_problems(response),
        )

    def read_problems(self, response: Response) -> list[str]:
        """Return what the registry says in a response with an error; nothing if it is not JSON."""
        try:
            errors: Any = json.loads(response.read_small(_ERROR_BYTES))["errors"]
            texts = [f"{error['code']}: {error.get('message', '')}" for error in errors[:5]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, TransientError):
            return []
        return [make_printable(text)[:_MESSAGE_CHARACTERS] for text in texts]

    def parse_location(self, response: Response, target: str) -> str:
        """Return the path and query that a response leads to, which must be on this server.

        An upload that another host is to get would give it the image, and a token.

        Raises:
            TransportError: it leads to another server, or is malformed.
        """
        text = response.header("location")
        try:
            parts = urlsplit(urljoin(f"{self.options.url}{target}", text))
            host, port = parts.hostname, parts.port
        except ValueError:
            raise self.not_a_registry("answers with a malformed location") from None
        own_host, own_port = self.options.address
        if host != own_host.lower() or port not in (None, own_port) or parts.username is not None:
            raise self.not_a_registry(
                "wants the upload to go to another server, which gets nothing"
            )
        found = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if not text or not found.startswith("/") or not found.isascii() or not found.isprintable():
            raise self.not_a_registry("answers with a malformed location")
        return found.replace(" ", "%20")

    def compare_digest(self, response: Response, digest: str) -> None:
        """Refuse a response that names another digest (hex) than was sent. Raises CorruptError."""
        said = response.header("docker-content-digest")
        if said not in ("", f"sha256:{digest}"):
            raise CorruptError(
                f"{self.options.url} answered with the digest {make_printable(said)[:80]} for"
                f" sha256:{digest}.",
                "Ask who runs the registry: it stored something else.",
            )

    def not_a_registry(self, problem: str) -> TransportError:
        """Make the error for a server that breaks the protocol."""
        return TransportError(
            f"{self.options.url} {problem}.", "Check the name of the registry and its port."
        )

    def retry(self, attempt: Callable[[], T]) -> T:
        """Try until it succeeds; raises TransportError after too many tries."""
        failures = 0
        while True:
            try:
                return attempt()
            except TransientError as error:
                failures += 1
                self._connection.close()
                if failures >= self._policy.tries:
                    raise TransportError(
                        f"{error.message} Gave up after {failures} tries.",
                        "Run the same command again: what has arrived is not sent again.",
                    ) from error
                seconds = self._policy.choose_pause(failures)
                self._policy.note(f"{error.message} Trying again in {seconds:.0f} s.")
                self._policy.wait(seconds)

    def _send_once(self, request: RegistryRequest) -> Response:
        headers = {"host": self.options.host, "user-agent": "airgap", **request.headers}
        if self._authorization:
            headers["authorization"] = self._authorization
        if request.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(request.body))
        seconds = self.options.timeout + len(request.body) / _LEAST_BYTES_PER_SECOND
        with explain_failures(self.options.url, _TLS_HINT):
            return self._connection.request(
                request.method, request.target, headers, request.body, seconds
            )

    def _log_in(self, response: Response) -> None:
        """Do what a registry asks for. Raises TransportError."""
        self.read(response)
        try:
            challenge = parse_challenge(response.header("www-authenticate"))
            wants_token = challenge.scheme == "bearer" and challenge.realm
            server = token_server(challenge, self._list_scopes()) if wants_token else None
        except ValueError:
            raise self.not_a_registry("asks for a login in a way that is not known") from None
        user, password = self.options.user, self.options.password
        if challenge.scheme == "basic":
            if user is None or password is None:
                raise self._make_login_error()
            self._authorization = basic(user, password)
        elif server is None:
            raise self.not_a_registry("asks for a token, and does not say where to get one")
        else:
            self._authorization = f"Bearer {register_secret(self._fetch_token(server))}"

    def _list_scopes(self) -> list[str]:
        scopes = [f"repository:{self.repository}:pull,push"]
        return [*scopes, f"repository:{self.mount_from}:pull"] if self.mount_from else scopes

    def _fetch_token(self, server: TokenServer) -> str:
        self._refuse_unknown_host(server)
        headers = {"host": server.host, "user-agent": "airgap"}
        user, password = self.options.user, self.options.password
        if user is not None and password is not None:
            headers["authorization"] = basic(user, password)
        connection = self._connect(server.address, encrypted=server.encrypted)
        try:
            with explain_failures(server.host, _TLS_HINT):
                response = connection.request("GET", server.target, headers)
            if response.status != _OK:
                raise self._make_login_error()
            return parse_token(response.read_small(_TOKEN_BYTES))
        except ValueError:
            raise TransportError(
                f"{server.host} does not answer with a token.", "Check the realm of the registry."
            ) from None
        finally:
            connection.close()

    def _refuse_unknown_host(self, server: TokenServer) -> None:
        """Send the password only where a person said. Raises TransportError."""
        own = server.address[0] == self.options.address[0].lower()
        allowed = own or server.host in self.options.token_hosts
        if not allowed:
            raise TransportError(
                f"{self.options.url} sends us to {make_printable(server.host)[:100]} for a token,"
                " which would get the password.",
                "If that is right, allow it with --token-host.",
            )
        if not server.encrypted and self.options.encrypted:
            raise TransportError(
                f"{self.options.url} sends us to http://{make_printable(server.host)[:100]} for a"
                " token, which is not encrypted.",
                "Ask who runs the registry for a realm with https.",
            )

    def _make_login_error(self) -> TransportError:
        if self.options.user is None or self.options.password is None:
            return TransportError(
                f"{self.options.url} asks for a user and a password.",
                "Give --user with --password-file, or put them into ~/.netrc.",
            )
        return TransportError(
            f"{self.options.url} does not accept {self.options.user} and the password.",
            "Check both.",
        )

    def _connect(self, address: tuple[str, int], *, encrypted: bool) -> HttpConnection:
        if encrypted and self._tls is None:
            self._tls = load_tls(self.options.ca_file, self.options.client)
        tls = self._tls if encrypted else None
        options = self.options
        proxy = choose_proxy(options.proxy, options.proxy_password, address) if tls else None
        return HttpConnection(Route(address, tls, proxy), address[0], options.timeout)
