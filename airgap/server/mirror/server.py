"""The mirror as a service: clients are answered in one thread, the depot examined in another."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

from airgap.errors import AirgapError, ConfigurationError, UsageError
from airgap.flow.inbox.inbox import Inbox, PushedTag
from airgap.flow.inbox.pushes import Pushes
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.flow.serving.mirror import Mirror, open_mirror
from airgap.flow.serving.request_log import RequestLog
from airgap.server.mirror.extras import Extras
from airgap.times import format_time

__all__ = ["ClientTerms", "MirrorServer", "demand_extra", "open_server", "parse_address"]

_LOCAL_SECONDS: Final = 0.5
_REMOTE_SECONDS: Final = 5.0
_BACKLOG: Final = 128

Note = Callable[[str], object]


def parse_address(text: str) -> tuple[str, int]:
    """Read ``ADDRESS:PORT``; an address of IPv6 is in brackets.

    Raises:
        UsageError: it is not that.
    """
    address, colon, port = text.rpartition(":")
    try:
        parsed = ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        number = int(port) if colon and port.isascii() and port.isdecimal() else -1
    except ValueError:
        parsed, number = ipaddress.ip_address("::"), -1
    if not 0 <= number < 1 << 16:
        raise UsageError(f"{text!r} is not an address with a port.", "Write 127.0.0.1:8640.")
    return str(parsed), number


@dataclass(frozen=True, slots=True)
class ClientTerms:
    """Who may ask, and how: a certificate with its key (PEM), a file of tokens, and an inbox.

    Without them, only this machine is answered: tokens and models would travel in the clear, or
    anybody could pull them. Without an inbox, clients may only pull.
    """

    certificate: Path | None = None
    private_key: Path | None = None
    tokens: Path | None = None
    inbox: Path | None = None
    inbox_bytes: int | None = None
    """At most so many bytes are in the inbox and on their way to it; None: as the disk has."""
    request_log: Path | None = None
    """Gets a line for each request (format §39); None: none is written."""

    def refuse_open(self, address: str) -> None:
        """Refuse an address that others reach, if TLS or tokens are missing.

        Raises:
            UsageError: they are.
        """
        if ipaddress.ip_address(address).is_loopback or (self.certificate and self.tokens):
            return
        raise UsageError(
            f"{address} can be reached from other machines: TLS and tokens are needed there.",
            "Give --certificate, --private-key and --tokens, or listen on 127.0.0.1.",
        )

    def make_tls(self) -> ssl.SSLContext | None:
        """Return the terms of TLS, 1.2 or newer; None without a certificate.

        Raises:
            UsageError: a certificate lacks its key.
            ConfigurationError: they cannot be used.
        """
        if (self.certificate is None) != (self.private_key is None):
            raise UsageError(
                "A certificate and its key belong together.",
                "Give both --certificate and --private-key.",
            )
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_certificate(context)
        return context

    def load_certificate(self, context: ssl.SSLContext) -> None:
        """Let new connections get the certificate that the files have now.

        Raises:
            ConfigurationError: they cannot be used; the one before stays.
        """
        if self.certificate is None or self.private_key is None:
            return
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.certificate, self.private_key, password=_refuse_password
            )
            context.load_cert_chain(self.certificate, self.private_key, password=_refuse_password)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The certificate {self.certificate} cannot be used with the key"
                f" {self.private_key}: {error}.",
                "Give a certificate with its chain, and its key without a passphrase, as PEM.",
            ) from error

    def stamp_certificate(self) -> tuple[object, ...]:
        """Return what changes when the files of the certificate do."""
        return tuple(_stamp(path) for path in (self.certificate, self.private_key) if path)


@contextmanager
def open_server(
    location: DepotLocation,
    connector: Connector,
    listen: tuple[str, int],
    terms: ClientTerms,
    note: Note,
) -> Iterator["MirrorServer"]:
    """Open a depot and listen; clients are answered by ``serve``. ``note`` takes lines for people.

    Raises:
        UsageError: others can reach the address, and TLS or tokens are missing.
        ConfigurationError: the extra is not installed, this machine trusts nobody yet, or the
            address is in use.
        StorageError: the index cannot be written.
        TransportError: the depot cannot be reached.
    """
    demand_extra()
    terms.refuse_open(listen[0])
    with open_mirror(location, connector) as mirror, _listen(listen) as listener:
        mirror.note = note
        is_local = isinstance(location, LocalDepot)
        interval = _LOCAL_SECONDS if is_local else _REMOTE_SECONDS
        with ExitStack() as opened:
            pushes = _open_pushes(terms, mirror)
            if pushes is not None:
                opened.callback(pushes.close)
            log = None if terms.request_log is None else RequestLog(terms.request_log)
            if log is not None:
                opened.callback(log.close)
            yield MirrorServer(mirror, listener, interval, terms, Extras(pushes, log))


class MirrorServer:
    """A ``Daemon``: serves until it is stopped."""

    def __init__(
        self,
        mirror: Mirror,
        listener: socket.socket,
        interval: float,
        terms: ClientTerms,
        extras: Extras | None = None,
    ) -> None:
        """Take what ``open_server`` opens; look at the depot every ``interval`` seconds."""
        from airgap.server.mirror.app import make_app
        from airgap.server.mirror.tokens import TokenFile
        from airgap.server.mirror.web_server import WebServer

        self._mirror, self._listener, self._interval = mirror, listener, interval
        self._stopping = Event()
        self._shown: dict[str, str] | None = None
        self._failure: Exception | None = None
        tokens, tls = TokenFile(terms.tokens) if terms.tokens else None, terms.make_tls()
        self._terms, self._tls, self._stamp = terms, tls, terms.stamp_certificate()
        self._scheme = "https" if tls else "http"
        self._server = WebServer(make_app(mirror, tokens, extras or Extras()), mirror.note, tls)

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self._listener.getsockname()[:2]
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def stop(self) -> None:
        """Let ``serve`` return; call it from a signal handler or another thread."""
        self._server.should_exit = True
        self._mirror.stop()

    def serve(self) -> None:
        """Serve until ``stop``; downloads under way get a few seconds to end.

        Raises:
            Exception: a bug has ended the examination of the depot; this is its exception.
        """
        thread = Thread(target=self._keep_up, name="airgap-examine")
        thread.start()
        self._note(f"Serving {self._mirror.location} at {self.url}")
        try:
            self._server.run([self._listener])
        finally:
            self._stopping.set()
            self._mirror.stop()
            thread.join()
        self._note("Stopped.")
        if self._failure is not None:
            raise self._failure

    def examine(self) -> None:
        """Bring what is served up to date, and tell what has changed; called again and again."""
        try:
            if self._mirror.keep_up():
                self._show_changes()
        except AirgapError as error:
            self._note(error.message)

    def renew_certificate(self) -> None:
        """Take a certificate that was renewed; called again and again. One that is unfit is not."""
        stamp = self._terms.stamp_certificate()
        if self._tls is None or stamp == self._stamp:
            return
        try:
            self._terms.load_certificate(self._tls)
            self._note(f"The certificate {self._terms.certificate} was renewed.")
        except ConfigurationError as error:
            self._note(f"{error.message} The one before stays.")
        self._stamp = stamp

    def _keep_up(self) -> None:
        try:
            while not self._stopping.is_set():
                self.examine()
                self.renew_certificate()
                self._stopping.wait(self._interval)
        except Exception as error:  # noqa: BLE001  (better to stop than to serve what is revoked)
            self._failure = error
            self.stop()

    def _show_changes(self) -> None:
        """Tell which bundles are served now, and why others are not, if that has changed."""
        rows = {row.bundle: row.reason for row in self._mirror.index.list_bundles()}
        if self._shown is None and not rows:
            self._note(f"{self._mirror.location} has no bundle yet.")
        shown = self._shown or {}
        for bundle, reason in rows.items():
            if shown.get(bundle) != reason:
                standing = f"withheld: {reason}" if reason else "served"
                self._note(f"{self._mirror.location}#{bundle[:12]} {standing}")
        self._shown = rows

    def _note(self, line: str) -> None:
        self._mirror.note(f"{format_time(int(time.time()))} {line}")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _open_pushes(terms: ClientTerms, mirror: Mirror) -> Pushes | None:
    if terms.inbox is None:
        return None
    inbox = Inbox(terms.inbox)
    inbox.prepare()

    def find_signed(tag: PushedTag) -> str:
        return mirror.index.find_digest(tag.kind, tag.name, tag.version)

    return Pushes(inbox, find_signed, terms.inbox_bytes)


def _refuse_password() -> str:
    """Refuse to ask for the passphrase of a key: a service has no terminal."""
    raise ValueError("it is encrypted")


def demand_extra() -> None:
    """Demand the libraries of the extra ``serve``. Raises ConfigurationError if one is missing."""
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise ConfigurationError(
            f"The package {error.name} is not installed.",
            "Run: pip install 'bento-airgap[serve]'",
        ) from error
    del starlette, uvicorn


@contextmanager
def _listen(address: tuple[str, int]) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {address[0]} port {address[1]}: {error.strerror}.",
                "Choose another port with --listen, or stop the program that uses it.",
            ) from error
        listener.listen(_BACKLOG)
        yield listener
