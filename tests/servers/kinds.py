"""Every kind of server that the contract tests know, by name.

Each starts a server that keeps its files below a folder, and stops it when it is left. One that
lacks its program skips with the reason. Modules are imported when they are used.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from airgap.transport.ftp.options import Security
from tests.servers import fake_s3, fake_web, ftp, in_memory, local_folder, nginx, rgw, ssh, swift
from tests.servers.folder_on_server import Server

__all__ = ["LOCAL", "QUICK", "REAL"]

Start = Callable[[Path], AbstractContextManager[Server]]


def _ftp(kind: str, security: Security) -> Start:
    return lambda _: ftp.serve(kind, security)  # has a folder of its own, which its user can enter


LOCAL: dict[str, Start] = {"folder": local_folder.serve, "memory": in_memory.serve}
"""Those that nothing connects to."""

QUICK: dict[str, Start] = {
    **LOCAL,
    "pyftpdlib": _ftp("pyftpdlib", "none"),
    "pyftpdlib-tls": _ftp("pyftpdlib", "explicit"),
    "fake-s3": fake_s3.serve,
    "fake-web": fake_web.serve,
    "sshd": ssh.serve,  # another maker's, but it starts in no time and needs no rights
}
"""Those that are part of ``make test``."""

REAL: dict[str, Start] = {
    "vsftpd": _ftp("vsftpd", "none"),
    "vsftpd-tls": _ftp("vsftpd", "explicit"),
    "proftpd-tls": _ftp("proftpd", "explicit"),
    "pure-ftpd-tls": _ftp("pure-ftpd", "explicit"),
    "nginx": nginx.serve,
    "rgw": rgw.serve,
    "sshd-chrooted": ssh.serve_chrooted,
    "swift": swift.serve,
}
"""Real servers: ``make test-servers``."""
