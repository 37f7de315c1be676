"""Which web server, which folder of it, and who asks."""

import base64
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError
from airgap.transport.proxy import Proxy
from airgap.transport.tls import ClientCertificate

__all__ = ["WebOptions"]

_PORTS: Final = {True: 443, False: 80}


@dataclass(frozen=True, slots=True)
class WebOptions:
    """A folder on a web server, and how it is reached."""

    host: str
    folder: str = ""
    """Without slashes at its ends."""
    port: int | None = None
    encrypted: bool = True
    user: str | None = None
    secret: str | None = field(default=None, repr=False)
    """The password of the user; a token where there is no user."""
    ca_file: Path | None = None
    """PEM of a private CA, or of the server itself; replaces the system's CAs."""
    client: ClientCertificate | None = None
    proxy: Proxy | None = None
    timeout: float = 60.0
    """Seconds for a connection, for a reply, and between two pieces of data."""

    def __post_init__(self) -> None:
        """Check the options before anything is sent.

        Raises:
            ConfigurationError: the server is on another machine and not encrypted, or no header
                can hold the token.
        """
        if not self.encrypted and not _is_loopback(self.host):
            raise ConfigurationError(
                f"{self.url} is not encrypted: others could read and change everything.",
                "Use https://; http:// is for servers on this machine.",
            )
        token = self.secret or ""
        if self.user is None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigurationError(
                f"The token for {self.url} has a space, or a character that is not printable"
                " ASCII.",
                "Give it as one line, and the user of a password with --user.",
            )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.host, self.port or _PORTS[self.encrypted]

    @property
    def authority(self) -> str:
        """Host and port as they are written; the port only if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port in (None, _PORTS[self.encrypted])
        return host if usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of the folder, for messages."""
        scheme = "https" if self.encrypted else "http"
        return f"{scheme}://{self.authority}/{self.folder}".rstrip("/")

    @property
    def authorization(self) -> str:
        """The header by which a server knows who asks (RFC 6750, RFC 7617); empty for nobody."""
        if self.secret is None:
            return ""
        if self.user is None:
            return f"Bearer {self.secret}"
        login = f"{self.user}:{self.secret}".encode()
        return f"Basic {base64.b64encode(login).decode()}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
