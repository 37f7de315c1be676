"""The options of one SSH server. Nothing here asks a person."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airgap.errors import ConfigurationError

__all__ = ["DEFAULT_CONFIG", "SftpOptions", "Timeouts"]

DEFAULT_CONFIG: Final = Path("~/.ssh/config")
_FORBIDDEN: Final = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait before a server counts as gone."""

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

    No option accepts unknown host keys: add the key to a known_hosts file.
    """

    host: str
    """A name, an address, or a ``Host`` of ~/.ssh/config."""
    port: int | None = None
    """None means the port of ~/.ssh/config, or 22."""
    user: str | None = None
    """None means the user of ~/.ssh/config, or the current user."""
    folder: str = ""
    """Relative to the login folder, or absolute with a leading ``/``."""
    keys: tuple[Path, ...] = ()
    """Private key files. If any is given, no other key is offered."""
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    """The account's; also answers keyboard-interactive, if that asks one hidden question."""
    agent: bool = True
    """Whether keys of the ssh-agent and of ~/.ssh may be offered when no key is named."""
    known_hosts: Path | None = None
    """The only known_hosts file to read; None means ~/.ssh/known_hosts and the system's."""
    proxy_command: str | None = None
    """A shell command whose standard input and output are the connection."""
    config: Path | None = DEFAULT_CONFIG
    """The OpenSSH client configuration that is applied; None for no file."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    on_wait: Callable[[str], object] = field(default=lambda _: None, repr=False, compare=False)
    """Called with a sentence once a login waits for a person."""

    def __post_init__(self) -> None:
        """Refuse characters that would end a line in a file, or a name on the server.

        Raises:
            ConfigurationError: host, user or folder contain a line break or NUL.
        """
        for name in ("host", "user", "folder"):
            if _FORBIDDEN.intersection(getattr(self, name) or ""):
                raise ConfigurationError(
                    f"The {name} for an SSH server contains a line break or NUL.", "Remove it."
                )

    @property
    def url(self) -> str:
        """The URL for messages, without user and secrets."""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        folder = self.folder if self.folder.startswith("/") else f"/~/{self.folder}"
        return f"sftp://{host}{port}{folder}".rstrip("/")
