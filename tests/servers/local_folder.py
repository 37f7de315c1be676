"""A local folder as the server of the contract tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airgap.transport.folder import FolderTransport
from airgap.transport.port import Transport
from tests.servers.proxy import Proxy
from tests.support import stores

__all__ = ["FolderServer", "serve"]


class FolderServer:
    """Fills ``Server`` with nothing but a disk."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def open(self, folder: str, proxy: Proxy | None = None) -> Transport:
        assert proxy is None
        return FolderTransport(self.top / folder)

    def files(self, folder: str) -> dict[str, bytes]:
        top = self.top / folder
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }

    def plant(self, folder: str, name: str, data: bytes) -> None:
        stores.write_files(self.top / folder, {name: data})

    def proxy(self) -> Proxy | None:
        return None


@contextmanager
def serve(top: Path) -> Iterator[FolderServer]:
    """Serve a folder; there is nothing to be stopped."""
    yield FolderServer(top)
