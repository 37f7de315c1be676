"""Real FTP servers on loopback: vsftpd, proftpd, pure-ftpd and pyftpdlib.

The first three run as root and serve a system user that is made for it, and removed. They conflict
as packages: ``.ci/run`` installs vsftpd, and unpacks the other two below ``UNPACKED``.
"""

import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from airgap.transport.ftp.options import FtpOptions, Security
from airgap.transport.ftp.transport import FtpTransport
from tests.servers.certificates import Authority, Issued
from tests.servers.proxy import ELSEWHERE, Proxy
from tests.support import stores

__all__ = ["KINDS", "UNPACKED", "FtpServer", "serve"]

UNPACKED: Final = Path(os.environ.get("AIRGAP_TEST_SERVERS", "/opt/airgap-test-servers"))
PASSIVE: Final = 60
KINDS: Final = ("pyftpdlib", "vsftpd", "proftpd", "pure-ftpd")
_STARTED_SECONDS: Final = 20.0


@dataclass(frozen=True)
class FtpServer:
    """A running server; fills ``Server``."""

    kind: str
    home: Path
    scratch: Path
    user: str
    password: str
    port: int
    security: Security
    authority: Authority
    certificate: Issued

    def options(self, folder: str = "", host: str = "127.0.0.1") -> FtpOptions:
        return FtpOptions(
            host=host,
            port=self.port,
            user=self.user,
            password=self.password,
            folder=folder,
            security=self.security,
            ca_file=None if self.security == "none" else self.authority.file,
            timeout=20,
        )

    def open(self, folder: str, proxy: Proxy | None = None) -> FtpTransport:
        return FtpTransport(self.options(folder, proxy.address if proxy else "127.0.0.1"))

    def files(self, folder: str) -> dict[str, bytes]:
        top = self.home / folder
        found = sorted(path for path in top.rglob("*") if path.is_file())
        return {str(path.relative_to(top)): path.read_bytes() for path in found}

    def plant(self, folder: str, name: str, data: bytes) -> None:
        stores.write_files(self.home / folder, {name: data})
        if os.geteuid() == 0:
            self._own(Path(folder, name))

    def _own(self, path: Path) -> None:
        """Give a file to the user, and the folders on the way to it."""
        owner = self.home.stat()
        for one in [path, *path.parents]:
            os.chown(self.home / one, owner.st_uid, owner.st_gid)

    def proxy(self) -> Proxy:
        """Data connections go to the host that is talked to: the proxy, at the same ports."""
        ports = range(self.port, self.port + PASSIVE)
        return Proxy({one: one for one in ports}, address=ELSEWHERE)

    @property
    def passive(self) -> tuple[int, int]:
        return self.port + 1, self.port + PASSIVE - 1


Command = Callable[[FtpServer], Sequence[str | Path]]


@contextmanager
def serve(kind: str, security: Security) -> Iterator[FtpServer]:
    """Start a server, and stop it at the end; skip if it is not here or needs root."""
    command = _COMMANDS[kind]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airgap-ftp-")))
        scratch.chmod(0o711)  # the user must come through, which pytest's own folders do not allow
        home = scratch / "home"
        home.mkdir()
        password = secrets.token_hex(8)
        user = stack.enter_context(_user(kind, home, password))
        authority = Authority(scratch)
        one = FtpServer(
            kind=kind,
            home=home,
            scratch=scratch,
            user=user,
            password=password,
            port=_free_ports(),
            security=security,
            authority=authority,
            certificate=authority.issue("server"),
        )
        stack.enter_context(_running(command(one), one))
        yield one


@contextmanager
def _user(kind: str, home: Path, password: str) -> Iterator[str]:
    """Make a user of the system, and remove it at the end; pyftpdlib has its own."""
    if kind == "pyftpdlib":
        yield "anna"
        return
    if os.geteuid() != 0:
        pytest.skip(f"{kind} needs root")
    name = f"ag{secrets.token_hex(6)}"
    _administer(["useradd", "-M", "-d", str(home), "-s", "/bin/bash", name])
    try:
        _administer(["chpasswd"], f"{name}:{password}\n")
        shutil.chown(home, name, pwd.getpwnam(name).pw_gid)
        yield name
    finally:
        _administer(["userdel", name])


def _administer(command: Sequence[str], stdin: str = "") -> None:
    """Run a program that changes /etc/passwd; another may have locked it just now."""
    said = "lock"
    for _ in range(50):
        if "lock" not in said:
            break
        ran = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )
        said = ran.stderr if ran.returncode else ""
        time.sleep(0.1 * ("lock" in said))
    assert not said


def _free_ports() -> int:
    """Find PASSIVE consecutive free ports below those that systems give to clients."""
    while True:
        first = random.randrange(20_000, 32_000 - PASSIVE)  # noqa: S311
        if all(_is_free(port) for port in range(first, first + PASSIVE)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


@contextmanager
def _running(command: Sequence[str | Path], one: FtpServer) -> Iterator[None]:
    """Run a server with the processes it starts, and stop all of them."""
    log = one.scratch / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _STARTED_SECONDS
        while _is_free(one.port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def _pyftpdlib(one: FtpServer) -> Sequence[str | Path]:
    settings = {
        "home": str(one.home),
        "user": one.user,
        "password": one.password,
        "port": one.port,
        "passive": one.passive,
        "security": one.security,
        "certificate": str(one.certificate.certificate),
        "key": str(one.certificate.key),
    }
    return [sys.executable, Path(__file__).with_name("pyftpd.py"), json.dumps(settings)]


def _vsftpd(one: FtpServer) -> Sequence[str | Path]:
    program = _program("vsftpd", "usr/sbin/vsftpd")
    (one.scratch / "empty").mkdir()
    encrypted = _yes(one.security != "none")
    settings = {
        "listen": "YES",
        "listen_address": "127.0.0.1",
        "listen_port": one.port,
        "background": "NO",
        "anonymous_enable": "NO",
        "local_enable": "YES",
        "write_enable": "YES",
        "local_umask": "022",
        "chroot_local_user": "YES",
        "allow_writeable_chroot": "YES",
        "secure_chroot_dir": one.scratch / "empty",
        "pam_service_name": "vsftpd",
        "utf8_filesystem": "YES",
        "seccomp_sandbox": "NO",
        "xferlog_enable": "NO",
        "pasv_min_port": one.passive[0],
        "pasv_max_port": one.passive[1],
        "ssl_enable": encrypted,
        "force_local_logins_ssl": encrypted,
        "force_local_data_ssl": encrypted,
        "require_ssl_reuse": "YES",
        "ssl_tlsv1": "YES",
        "ssl_ciphers": "HIGH",
        "implicit_ssl": _yes(one.security == "implicit"),
        "rsa_cert_file": one.certificate.certificate,
        "rsa_private_key_file": one.certificate.key,
    }
    return [program, _write(one, "\n".join(f"{key}={value}" for key, value in settings.items()))]


def _proftpd(one: FtpServer) -> Sequence[str | Path]:
    program = _program("proftpd", "usr/sbin/proftpd")
    top = program.parent.parent
    text = f"""
        ModulePath {top}/lib/proftpd
        LoadModule mod_tls.c
        ServerName t
        ServerType standalone
        Port {one.port}
        DefaultAddress 127.0.0.1
        SocketBindTight on
        User nobody
        Group nogroup
        UseReverseDNS off
        UseIPv6 off
        DefaultRoot ~
        AllowOverwrite on
        AllowStoreRestart on
        AuthOrder mod_auth_unix.c
        WtmpLog off
        PidFile {one.scratch}/pid
        ScoreboardFile {one.scratch}/scoreboard
        SystemLog {one.scratch}/system.log
        TransferLog NONE
        DelayEngine off
        PassivePorts {one.passive[0]} {one.passive[1]}
    """
    if one.security != "none":
        text += f"""
            TLSEngine on
            TLSProtocol TLSv1.2 TLSv1.3
            TLSRequired on
            TLSECCertificateFile {one.certificate.certificate}
            TLSECCertificateKeyFile {one.certificate.key}
            TLSRenegotiate none
            TLSOptions {"UseImplicitSSL" if one.security == "implicit" else "NoEmptyFragments"}
        """
    return [program, "-n", "-q", "-c", _write(one, text)]


def _pure_ftpd(one: FtpServer) -> Sequence[str | Path]:
    program = _program("pure-ftpd", "usr/sbin/pure-ftpd")
    passive = f"{one.passive[0]}:{one.passive[1]}"
    command: list[str | Path] = [program, "-S", f"127.0.0.1,{one.port}", "-4", "-E", "-A", "-H"]
    command += ["-l", "unix", "-p", passive, "-g", one.scratch / "pid", "-c", "50", "-C", "50"]
    if one.security == "none":
        return command
    if one.security == "implicit":
        pytest.skip("pure-ftpd has no implicit TLS")
    return [*command, "-Y", "2", "-2", f"{one.certificate.certificate},{one.certificate.key}"]


def _program(name: str, unpacked: str) -> Path:
    """Find a server, installed or unpacked, or skip."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    path = Path(found) if found else UNPACKED / unpacked
    if not path.exists():
        pytest.skip(f"{name} is not here: neither installed nor below {UNPACKED}")
    return path


def _write(one: FtpServer, text: str) -> Path:
    path = one.scratch / "conf"
    path.write_text(text + "\n")
    return path


def _yes(value: bool) -> str:  # noqa: FBT001
    return "YES" if value else "NO"


_COMMANDS: Final[dict[str, Command]] = {
    "pyftpdlib": _pyftpdlib,
    "vsftpd": _vsftpd,
    "proftpd": _proftpd,
    "pure-ftpd": _pure_ftpd,
}
