"""Where the contract of ``Transport`` is tested: a server that runs, and a folder on it.

To let a protocol be held to the contract, fill ``Server`` and add a function to
``tests.servers.kinds``.
"""

from dataclasses import dataclass
from typing import Protocol

from airgap.transport.port import Transport
from tests.servers.proxy import Proxy

__all__ = ["FolderOnServer", "Server"]


class Server(Protocol):
    """A running server. Folders are names of letters and digits, one for each test."""

    def open(self, folder: str, proxy: Proxy | None = None) -> Transport:
        """Connect to a folder that need not be there; through a proxy of ``proxy``, if given."""
        ...

    def files(self, folder: str) -> dict[str, bytes]:
        """Read what lies below a folder, behind the server's back: unfinished uploads too."""
        ...

    def plant(self, folder: str, name: str, data: bytes) -> None:
        """Put a file there behind the server's back."""
        ...

    def proxy(self) -> Proxy | None:
        """Return a proxy in front of the server, not yet entered; None if nothing connects."""
        ...


@dataclass(frozen=True)
class FolderOnServer:
    """One test's folder on a server."""

    server: Server
    folder: str

    def open(self, proxy: Proxy | None = None) -> Transport:
        return self.server.open(self.folder, proxy)

    def files(self) -> dict[str, bytes]:
        return self.server.files(self.folder)

    def plant(self, name: str, data: bytes) -> None:
        self.server.plant(self.folder, name, data)
