"""Which registry, and who logs in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from airgap.transport.tls import ClientCertificate

__all__ = ["RegistryOptions"]

_PORTS: Final = {True: 443, False: 80}


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """A registry: its host with the port, as in a reference; and how it is reached.

    ``token_hosts`` are hosts, with their ports, to which the password may be sent for a token, as
    well as to the registry itself. ``client`` is shown to servers that demand it. ``proxy`` and its
    password are as of ``choose_proxy``, and used for https only. ``timeout`` is in seconds, and
    counts while nothing arrives.
    """

    host: str
    encrypted: bool = True
    ca_file: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token_hosts: frozenset[str] = frozenset()
    client: ClientCertificate | None = None
    proxy: str = ""
    proxy_password: str | None = field(default=None, repr=False)
    timeout: float = 60

    @property
    def url(self) -> str:
        """The URL of the registry, for messages."""
        return f"{'https' if self.encrypted else 'http'}://{self.host}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[self.encrypted]
