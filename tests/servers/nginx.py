"""A real nginx on the loopback, over TLS and with a password; Debian's has PUT and DELETE."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from airgap.transport.web.options import WebOptions
from airgap.transport.web.transport import WebTransport
from tests.servers.certificates import Authority
from tests.servers.proxy import Proxy
from tests.servers.s3 import accepts, free_port, running, wait_until
from tests.support import stores

__all__ = ["LOGIN", "NginxServer", "run_nginx", "serve"]

LOGIN = ("carrier", "pass word")
_CONFIG = """
daemon off; worker_processes 1; pid {scratch}/pid; error_log {scratch}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_max_body_size 1g; default_type application/octet-stream;
    client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi; uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    server {{ {server} }}
}}
"""
_FOLDERS = """
listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
root {top}; autoindex on;
dav_methods PUT DELETE; create_full_put_path on;
auth_basic depot; auth_basic_user_file {scratch}/users;
"""


@dataclass(frozen=True)
class NginxServer:
    """Fills ``Server``."""

    top: Path
    port: int
    authority: Authority

    def options(self, folder: str, port: int | None = None) -> WebOptions:
        user, password = LOGIN
        host, ca = "127.0.0.1", self.authority.file
        return WebOptions(
            host, folder, port or self.port, user=user, secret=password, ca_file=ca, timeout=20
        )

    def open(self, folder: str, proxy: Proxy | None = None) -> WebTransport:
        return WebTransport(self.options(folder, proxy.port if proxy else None))

    def files(self, folder: str) -> dict[str, bytes]:
        top = self.top / folder
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }

    def plant(self, folder: str, name: str, data: bytes) -> None:
        stores.write_files(self.top / folder, {name: data})
        path = self.top / folder / name
        path.chmod(0o666)  # the worker is another user
        for above in path.relative_to(self.top).parents:
            (self.top / above).chmod(0o777)

    def proxy(self) -> Proxy:
        return Proxy([self.port])


@contextmanager
def run_nginx(scratch: Path, port: int, server: str) -> Iterator[None]:
    """Run nginx with the directives of one server; skip if it is not here."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    config = scratch / "nginx.conf"
    config.write_text(_CONFIG.format(scratch=scratch, server=server))
    with running([program, "-e", scratch / "error.log", "-c", config], scratch / "output"):
        wait_until(lambda: accepts(port), "nginx")
        yield


@contextmanager
def serve(_: Path) -> Iterator[NginxServer]:
    """Serve a folder."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airgap-nginx-")))
        scratch.chmod(0o711)
        top = scratch / "top"
        top.mkdir()
        top.chmod(0o777)
        authority = Authority(scratch)
        issued = authority.issue("server")
        user, password = LOGIN
        (scratch / "users").write_text(f"{user}:{{PLAIN}}{password}\n")
        (scratch / "users").chmod(0o644)
        port = free_port()
        files = {"certificate": issued.certificate, "key": issued.key, "top": top}
        if os.geteuid() != 0:
            pytest.skip("its directives are for root")
        directives = _FOLDERS.format(port=port, scratch=scratch, **files)
        stack.enter_context(run_nginx(scratch, port, directives))
        yield NginxServer(top, port, authority)
