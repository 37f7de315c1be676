"""What has to be known of one FTP server, and nothing that is asked of a person."""

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

    There is no switch that turns verification off: a server with a certificate of its own is
    reached by naming that certificate as ``ca_file``.
    """

    host: str
    port: int = 0
    """0 is the port of the scheme: 21, or 990 for implicit TLS."""
    user: str = "anonymous"
    password: str = field(default="", repr=False)
    folder: str = ""
    """Below the folder one lands in at login, or absolute with a leading ``/``."""
    security: Security = "explicit"
    ca_file: Path | None = None
    """PEM of a private CA, or of the server itself; the system's CAs do not count then."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    """PEM, not encrypted; not needed if ``client_certificate`` holds the key too."""
    minimum_tls: TlsVersion = "1.2"
    timeout: float = 60.0
    """Seconds for a connection, for a whole reply, and between two pieces of data; five times that
    for the reply to an upload, part of which is still under way when we are done."""

    def __post_init__(self) -> None:
        """Refuse what would end a line on the control connection, and begin another command.

        Raises:
            ConfigurationError: host, user, password or folder have a line break or NUL in them.
        """
        for what in ("host", "user", "password", "folder"):
            if _FORBIDDEN.intersection(getattr(self, what)):
                raise ConfigurationError(
                    f"The {what} for an FTP server has a line break or NUL in it.",
                    "Remove it; a file that holds a password may end in one line break at most.",
                )

    @property
    def place(self) -> str:
        """The URL for messages, without user and password."""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        folder = quote(self.folder, safe=_PLAIN)
        return f"{_SCHEMES[self.security]}://{host}{port}/{folder}".rstrip("/")

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        return self.host, self.port or _PORTS[self.security]
