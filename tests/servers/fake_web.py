"""A web server in this process: files by path, ranges, listings as pages, PUT and DELETE."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

from airgap.transport.web.options import WebOptions
from airgap.transport.web.transport import WebTransport
from tests.servers.proxy import Proxy
from tests.servers.scripted import Request, Scripted
from tests.servers.scripted import reply as reply_once

__all__ = ["WebFolders", "answer_range", "serve"]

reply = partial(reply_once, Connection=None)


@dataclass
class WebFolders:
    """Fills ``Server``. Files are kept by their path, without the first slash."""

    contents: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0

    def open(self, folder: str, proxy: Proxy | None = None) -> WebTransport:
        port = proxy.port if proxy else self.port
        return WebTransport(WebOptions("127.0.0.1", folder, port, encrypted=False, timeout=20))

    def files(self, folder: str) -> dict[str, bytes]:
        with self.lock:
            below = f"{folder}/"
            return {
                name.removeprefix(below): data
                for name, data in self.contents.items()
                if name.startswith(below)
            }

    def plant(self, folder: str, name: str, data: bytes) -> None:
        with self.lock:
            self.contents[f"{folder}/{name}"] = data

    def proxy(self) -> Proxy:
        return Proxy([self.port])

    def answer(self, request: Request) -> bytes:
        path = unquote(request.target).removeprefix("/")
        with self.lock:
            if path.endswith("/") or not path:
                return self._list(path)
            there = self.contents.get(path)
            if request.method == "PUT":
                if there is not None and "if-none-match" in request.headers:
                    return reply("412 Precondition Failed")
                self.contents[path] = request.body
                return reply("201 Created")
            if request.method == "DELETE":
                self.contents.pop(path, None)
                return reply("204 No Content", Content_Length=None)
            return self._read(request, there)

    def _read(self, request: Request, there: bytes | None) -> bytes:
        is_head = request.method == "HEAD"
        if there is None:
            return reply("404 Not Found", b"" if is_head else b"<html>nothing</html>")
        if is_head:
            return reply("200 OK", Content_Length=str(len(there)))
        return answer_range(there, request.headers.get("range"))

    def _list(self, path: str) -> bytes:
        below = [name[len(path) :] for name in self.contents if name.startswith(path)]
        if not below:
            return reply("404 Not Found")
        folders = {f"{name.partition('/')[0]}/" for name in below if "/" in name}
        names = sorted({name for name in below if "/" not in name} | folders)
        links = "".join(f'<a href="{escape(quote(name))}">{escape(name)}</a>\n' for name in names)
        page = f'<html><title>Index of /</title><a href="../">../</a>\n{links}</html>'
        return reply("200 OK", page.encode(), Content_Type="text/html")


def answer_range(data: bytes, wanted: str | None) -> bytes:
    """Answer a request for some of the bytes, as a server that knows ranges."""
    if wanted is None:
        return reply("200 OK", data)
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    assert asked
    begin, end = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
    if begin > end:
        return reply("416 Range Not Satisfiable")
    part = data[begin : end + 1]
    return reply("206 Partial Content", part, Content_Range=f"bytes {begin}-{end}/{len(data)}")


@contextmanager
def serve(_: Path) -> Iterator[WebFolders]:
    """Serve an empty folder on the loopback."""
    folders = WebFolders()
    with Scripted(folders.answer, persistent=True) as server:
        folders.port = int(server.url.rpartition(":")[2])
        yield folders
