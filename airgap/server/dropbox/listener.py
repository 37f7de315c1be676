"""Listens for FTP and FTPS connections as the settings say."""

from typing import Final

import pyftpdlib.ioloop  # noqa: F401  (first: it suppresses the deprecation warning of asyncore)
from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.servers import FTPServer

from airgap.errors import ConfigurationError
from airgap.server.dropbox.control import (
    ALLOWED_COMMANDS,
    ControlConnection,
    ExplicitTlsConnection,
    ImplicitTlsConnection,
    PlainConnection,
)
from airgap.server.dropbox.data import PassivePort
from airgap.server.dropbox.session_context import SessionContext
from airgap.server.dropbox.settings import DropBoxSettings

__all__ = ["Listener", "make_listeners", "make_tls_context"]

_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_NO_RENEGOTIATION: Final = 1 << 30


class Listener(FTPServer):
    """Listens on one port; refuses connections beyond ``max_connections``."""

    max_connections = 0

    def _accept_new_cons(self) -> bool:
        return len(self.ip_map) <= self.max_connections


class _HomeAuthorizer(DummyAuthorizer):
    """Knows users' homes. Passwords are checked by the session, in a thread: scrypt is slow."""

    def get_perms(self, username: str) -> str:
        """Return no permission letters, so that replies and facts show none."""
        del username
        return ""


def make_listeners(context: SessionContext) -> list[Listener]:
    """Listen on the port for FTP, and on the one for FTPS if there is one.

    Raises:
        ConfigurationError: a port is in use or not permitted, or the certificate cannot be used.
    """
    settings, tls = context.settings, make_tls_context(context.settings)
    authorizer = _HomeAuthorizer()
    for user in settings.users:
        authorizer.add_user(user.name, "", str(context.folders.home(user.name)), perm="elmwafd")
    kind = PlainConnection if tls is None else ExplicitTlsConnection
    listeners = [_listen(context, authorizer, kind, tls, settings.port)]
    if settings.implicit_port is not None:
        port = settings.implicit_port
        listeners.append(_listen(context, authorizer, ImplicitTlsConnection, tls, port))
        listeners[1].ip_map = listeners[0].ip_map  # limits count the connections of both
    return listeners


def make_tls_context(settings: DropBoxSettings) -> SSL.Context | None:
    """Load the certificate and its key; return None if none is configured.

    Allows TLS 1.2 only: with 1.3 clients close before the library has read everything, and it
    takes the lost connection for the end of the file.

    Raises:
        ConfigurationError: certificate and key cannot be used.
    """
    if settings.certificate is None or settings.key is None:
        return None
    tls = SSL.Context(SSL.TLS_SERVER_METHOD)
    tls.set_min_proto_version(SSL.TLS1_2_VERSION)
    tls.set_max_proto_version(SSL.TLS1_2_VERSION)
    tls.set_options(SSL.OP_NO_COMPRESSION | _NO_RENEGOTIATION)
    tls.set_cipher_list(_CIPHERS)
    tls.set_session_id(b"airgap")
    try:
        tls.use_certificate_chain_file(str(settings.certificate))
        tls.use_privatekey_file(str(settings.key))
        tls.check_privatekey()
    except SSL.Error as error:
        raise ConfigurationError(
            f"{settings.certificate} and {settings.key} are not a certificate and its key.",
            "Both must be PEM files; the server's certificate comes first in its file, followed by"
            " those of its issuers.",
        ) from error
    return tls


def _listen(
    context: SessionContext,
    authorizer: _HomeAuthorizer,
    kind: type[ControlConnection],
    tls: SSL.Context | None,
    port: int,
) -> Listener:
    settings = context.settings
    address = (settings.address, port)
    try:
        listener = Listener(address, _configure(context, authorizer, kind, tls))
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {settings.address} port {port}: {error.strerror}.",
            "Another server may be using the port. Ports below 1024 need a privilege (see the"
            " systemd unit in docs/gateway-drop-box.md).",
        ) from error
    listener.max_connections = settings.connections
    listener.max_cons_per_ip = settings.connections_per_address
    return listener


def _configure(
    context: SessionContext,
    authorizer: _HomeAuthorizer,
    kind: type[ControlConnection],
    tls: SSL.Context | None,
) -> type[ControlConnection]:
    """Make the class of a listener's sessions: the library takes settings as class attributes."""
    settings = context.settings
    commands = ALLOWED_COMMANDS & set(kind.proto_cmds)
    attributes = {
        "context": context,
        "authorizer": authorizer,
        "proto_cmds": {name: kind.proto_cmds[name] for name in commands},
        "timeout": settings.idle_seconds,
        "passive_ports": settings.passive_ports,
        "masquerade_address": settings.masquerade,
        "passive_dtp": type("Passive", (PassivePort,), {"timeout": settings.stall_seconds}),
        "dtp_handler": type(
            "Data",
            (kind.dtp_handler,),
            {"timeout": settings.stall_seconds, "read_limit": settings.rate},
        ),
        "ssl_context": tls,
        "tls_control_required": settings.tls_required,
        "tls_data_required": settings.tls_required,
    }
    return type("Session", (kind,), attributes)
