"""What has to be known of one SSH server, and nothing that is asked of a person."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError

__all__ = ["DEFAULT_CONFIG", "SftpOptions", "Timeouts"]

DEFAULT_CONFIG: Final = Path("~/.ssh/config")
_FORBIDDEN: Final = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds, before a server counts as gone."""

    connect: float = 20
    handshake: float = 20
    """From the first byte to the host key."""
    login: float = 60
    channel: float = 20
    """Until SFTP begins."""
    stall: float = 60
    """Without any progress, at any time after the login."""


@dataclass(frozen=True, slots=True)
class SftpOptions:
    """One server and one account; ``folder`` is where the depot lies.

    There is no switch that accepts unknown host keys: a key is made known by its line in a file.
    """

    host: str
    """A name, an address, or a ``Host`` of ~/.ssh/config."""
    port: int | None = None
    """None is what ~/.ssh/config says, or 22."""
    user: str | None = None
    """None is what ~/.ssh/config says, or the name of who runs this."""
    folder: str = ""
    """Below the folder one lands in at login, or absolute with a leading ``/``."""
    keys: tuple[Path, ...] = ()
    """Private key files. If there are some, no others are offered."""
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    """The account's; it answers keyboard-interactive too, if that asks one hidden question."""
    agent: bool = True
    """Whether keys of the ssh-agent and of ~/.ssh may be offered when no key is named."""
    known_hosts: Path | None = None
    """The only file of known hosts; else ~/.ssh/known_hosts and the system's."""
    proxy_command: str | None = None
    """A shell command whose standard input and output are the connection."""
    config: Path | None = DEFAULT_CONFIG
    """Where the host is looked up first, as ``ssh`` does; None is nowhere."""
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __post_init__(self) -> None:
        """Refuse what would end a line in a file, or a name on the server.

        Raises:
            ConfigurationError: host, user or folder have a line break or NUL in them.
        """
        for what in ("host", "user", "folder"):
            if _FORBIDDEN.intersection(getattr(self, what) or ""):
                raise ConfigurationError(
                    f"The {what} for an SSH server has a line break or NUL in it.", "Remove it."
                )

    @property
    def place(self) -> str:
        """The URL for messages, without user and secrets."""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        folder = self.folder if self.folder.startswith("/") else f"/~/{self.folder}"
        return f"sftp://{host}{port}{folder}".rstrip("/")
