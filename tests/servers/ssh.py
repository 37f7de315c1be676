"""OpenSSH's sshd, from its package, with keys of its own, on loopback."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from airgap.transport.port import Transport
from airgap.transport.sftp.options import SftpOptions
from airgap.transport.sftp.transport import SftpTransport
from tests.servers.proxy import Proxy
from tests.support import stores

__all__ = ["SshServer", "keygen", "serve", "serve_chrooted"]

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SETTINGS = """
ListenAddress 127.0.0.1
PidFile none
StrictModes no
UsePAM no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100:30:100
LogLevel DEBUG1
"""


@dataclass
class SshServer:
    """A running sshd. ``files`` is what it serves; ``inside`` is that folder as clients see it."""

    port: int
    top: Path
    served: Path
    inside: str
    process: "subprocess.Popen[str]"
    log: list[str] = field(default_factory=list)

    @property
    def key(self) -> Path:
        return self.top / "user"

    @property
    def host_key(self) -> str:
        """Type and base64 of its Ed25519 key."""
        return " ".join((self.top / "host_ed25519.pub").read_text().split()[:2])

    def options(self, folder: str, port: int | None = None) -> SftpOptions:
        """The options that let us in."""
        port = port or self.port
        known = self.top / f"known_{port}"
        known.write_text(f"[127.0.0.1]:{port} {self.host_key}\n")
        return SftpOptions(
            "127.0.0.1",
            port,
            folder=f"{self.inside}/{folder}",
            user=getpass.getuser(),
            keys=(self.key,),
            known_hosts=known,
            agent=False,
            config=None,
        )

    def open(self, folder: str, proxy: Proxy | None = None, **changes: object) -> Transport:
        options = self.options(folder, proxy.port if proxy else self.port)
        return SftpTransport(replace(options, **cast("dict[str, Any]", changes)))

    def files(self, folder: str) -> dict[str, bytes]:
        top = self.served / folder
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file()
        }

    def plant(self, folder: str, name: str, data: bytes) -> None:
        stores.write_files(self.served / folder, {name: data})

    def proxy(self) -> Proxy:
        return Proxy([self.port])


def keygen(path: Path, kind: str = "ed25519", *more: str) -> Path:
    """Make a key pair without a passphrase."""
    made = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", str(path), *more]
    subprocess.run(made, check=True, stdin=subprocess.DEVNULL, timeout=120)
    return path


@contextmanager
def serve(
    top: Path, settings: Sequence[str] = (), subsystem: str = "sftp internal-sftp"
) -> Iterator[SshServer]:
    """Start sshd as the user who runs the tests."""
    (top / "files").mkdir(exist_ok=True)
    lines = [f"Subsystem {subsystem}", *settings]
    with _running(top, top / "files", str(top / "files"), lines) as server:
        yield server


@contextmanager
def serve_chrooted(top: Path) -> Iterator[SshServer]:
    """Start sshd as sites do it for partners: in a chroot, and SFTP is all there is."""
    if os.getuid() != 0:
        pytest.skip("only root can chroot")
    with tempfile.TemporaryDirectory(dir="/run", prefix="airgap-test-") as jail:
        Path(jail).chmod(0o755)
        (Path(jail) / "files").mkdir()
        lines = [
            "Subsystem sftp internal-sftp",
            f"ChrootDirectory {jail}",
            "ForceCommand internal-sftp -u 0027",
            "AllowTcpForwarding no",
        ]
        with _running(top, Path(jail) / "files", "/files", lines) as server:
            yield server


@contextmanager
def _running(top: Path, served: Path, inside: str, settings: Sequence[str]) -> Iterator[SshServer]:
    if SSHD is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ["user", "host_ed25519"]:
        if not (top / name).exists():
            keygen(top / name)
    port = _free_port()
    lines = [f"Port {port}", f"HostKey {top}/host_ed25519", f"AuthorizedKeysFile {top}/user.pub"]
    (top / "sshd.conf").write_text("\n".join([*settings, *lines, SETTINGS]))
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", top / "sshd.conf"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    server = SshServer(port, top, served, inside, process)
    listening = threading.Event()
    reader = threading.Thread(target=_read_log, args=(server, listening), daemon=True)
    reader.start()
    try:
        assert listening.wait(10), server.log
        assert process.poll() is None, server.log
        yield server
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)


def _read_log(server: SshServer, listening: threading.Event) -> None:
    assert server.process.stderr
    with server.process.stderr as lines:
        for line in lines:
            server.log.append(line.rstrip())
            if "Server listening" in line:
                listening.set()
    listening.set()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port
