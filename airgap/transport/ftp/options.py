"""The options of one FTP server. Nothing here asks a person."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from airgap.errors import ConfigurationError

__all__ = ["FtpOptions", "Security", "TlsVersion"]

Security = Literal["none", "explicit", "implicit"]
TlsVersion = Literal["1.2", "1.3"]

_SCHEMES: Final[dict[Security, str]] = {"none": "ftp", "explicit": "ftpes", "implicit": "ftps"}
_PORTS: Final[dict[Security, int]] = {"none": 21, "explicit": 21, "implicit": 990}
_FORBIDDEN: Final = frozenset("\r\n\0")
_PLAIN: Final = "/~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class FtpOptions:
    """One server and one account; ``folder`` is where the depot lies.

    No option turns verification off: for a server with a self-signed certificate, give that
    certificate as ``ca_file``.
    """

    host: str
    port: int = 0
    """0 means the port of the scheme: 21, or 990 for implicit TLS."""
    user: str = "anonymous"
    password: str = field(default="", repr=False)
    folder: str = ""
    """Relative to the login folder, or absolute with a leading ``/``."""
    security: Security = "explicit"
    ca_file: Path | None = None
    """PEM of a private CA, or of the server itself; replaces the system's CAs."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    """PEM; not needed if ``client_certificate`` contains the key too."""
    client_passphrase: str | None = field(default=None, repr=False)
    """Of ``client_key``, if it is encrypted."""
    minimum_tls: TlsVersion = "1.2"
    timeout: float = 60.0
    """Seconds for a connection, for a whole reply, and between two pieces of data; five times that
    for the reply to an upload, part of which may still be in transit when all is sent."""

    def __post_init__(self) -> None:
        """Refuse characters that would end a command on the control connection and begin another.

        Raises:
            ConfigurationError: host, user, password or folder contain a line break or NUL.
        """
        for name in ("host", "user", "password", "folder"):
            if _FORBIDDEN.intersection(getattr(self, name)):
                raise ConfigurationError(
                    f"The {name} for an FTP server contains a line break or NUL.",
                    "Remove it; a password file may end in one line break.",
                )

    @property
    def url(self) -> str:
        """The URL for messages, without user and password."""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        folder = quote(self.folder, safe=_PLAIN)
        return f"{_SCHEMES[self.security]}://{host}{port}/{folder}".rstrip("/")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.host, self.port or _PORTS[self.security]
