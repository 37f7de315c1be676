"""FTP and FTPS by airgap and by curl: packs up and down, on the same server.

python bench/ftp.py [FOLDER] [GIB] [ROUNDS] [SERVER-SECURITY ...]

Packs of 64 MiB, one server after the other, in rounds in which curl and airgap take turns at going
first. Printed are medians of the speeds and of each round's ratio, then the ratio of the best
rounds, which other work on the machine disturbed least. Both write files, and neither hashes them.
FOLDER needs room for three times the packs and is best in memory; the default is /dev/shm. Servers
run as root. proftpd is not in the list: half of curl 7.88's uploads to it fail.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from airgap.transport.ftp.options import Security
from tests.servers import ftp
from tests.servers.ftp import FtpServer

PACK: Final = 64 * 1024 * 1024
SERVERS: Final[list[tuple[str, Security]]] = [
    ("vsftpd", "none"),
    ("vsftpd", "explicit"),
    ("pure-ftpd", "explicit"),
    ("pyftpdlib", "explicit"),
]
BAR: Final = 0.9


def main() -> None:
    """Print a line for each server and direction; end with 1 if one is below the bar."""
    defaults = ["/dev/shm", "1", "5"]  # noqa: S108  (a private folder is made in it)
    folder, gib, rounds, *selected = [*sys.argv[1:], *defaults[len(sys.argv) - 1 :]]
    passed = True
    with tempfile.TemporaryDirectory(dir=folder) as top:
        Path(top).chmod(0o711)
        tempfile.tempdir = top
        packs = make_packs(Path(top) / "packs", int(float(gib) * 1024 * 1024 * 1024) // PACK)
        print(f"{len(packs)} packs of 64 MiB; {os.cpu_count()} processors", end=", ")
        print("load", *(f"{load:.1f}" for load in os.getloadavg()))
        print(f"{'server':<20} {'':<8} {'curl':>9} {'airgap':>9}   ratio  best/best")
        for kind, security in SERVERS:
            if not selected or f"{kind}-{security}" in selected:
                passed &= measure(kind, security, packs, int(rounds))
    sys.exit(0 if passed else 1)


def make_packs(folder: Path, count: int) -> list[Path]:
    """Write packs of noise."""
    folder.mkdir()
    packs = [folder / f"{number:064x}.pack" for number in range(count)]
    for path in packs:
        path.write_bytes(os.urandom(PACK))
    return packs


def measure(kind: str, security: Security, packs: list[Path], rounds: int) -> bool:
    """Measure one server in both directions."""
    try:
        with ftp.serve(kind, security) as server, make_download_folder(server) as folder:
            bench = Bench(server, packs, folder)
            directions: list[dict[str, Callable[[], None]]] = [
                {"curl": bench.curl_up, "airgap": bench.airgap_up},
                {"curl": bench.curl_down, "airgap": bench.airgap_down},
            ]
            times_of_both = [run(clients, rounds, bench) for clients in directions]
    except pytest.skip.Exception as reason:
        print(f"{kind} {security}: {reason}")
        return True
    total = sum(path.stat().st_size for path in packs)
    ratios = [
        report(f"{kind} {security}", direction, total, times)
        for direction, times in zip(("upload", "download"), times_of_both, strict=True)
    ]
    return min(ratios) >= BAR


def report(server: str, direction: str, total: int, times: dict[str, list[float]]) -> float:
    """Print a line, and return the ratio to curl."""
    curl, airgap = times["curl"], times["airgap"]
    rates = (f"{total / statistics.median(each) / 1e6:>4.0f} MB/s" for each in (curl, airgap))
    ratio = statistics.median(
        curl_time / airgap_time for curl_time, airgap_time in zip(curl, airgap, strict=True)
    )
    best = min(curl) / min(airgap)
    print(f"{server:<20} {direction:<8}", *rates, f"  {ratio:.2f}   {best:.2f}", flush=True)
    return ratio


@contextmanager
def make_download_folder(server: FtpServer) -> Iterator[Path]:
    """Make a folder for downloads."""
    folder = server.scratch / "down"
    folder.mkdir()
    yield folder


class Bench:
    """The transfers of curl and airgap with one server."""

    def __init__(self, server: FtpServer, packs: list[Path], folder: Path) -> None:
        self.server = server
        self.packs = packs
        self.folder = folder
        netrc = server.scratch / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login {server.user} password {server.password}\n")
        tls = ["--ssl-reqd", "--cacert", str(server.authority.file)]
        secured = [] if server.security == "none" else tls
        self.curl = ["curl", "-sS", "--fail", "--netrc-file", str(netrc), *secured]
        self.url = f"ftp://127.0.0.1:{server.port}/packs/"
        server.plant("kept", "first", b"")
        for path in packs:
            shutil.copy(path, server.home / "kept" / path.name)
            (server.home / "kept" / path.name).chmod(0o644)

    def clean(self) -> None:
        """Remove the files of the last transfer."""
        shutil.rmtree(self.server.home / "packs", ignore_errors=True)
        for path in self.folder.iterdir():
            path.unlink()

    def curl_up(self) -> None:
        names = ",".join(str(path) for path in self.packs)
        self._run([*self.curl, "--ftp-create-dirs", "-T", f"{{{names}}}", self.url])

    def curl_down(self) -> None:
        names = ",".join(path.name for path in self.packs)
        url = self.url.replace("/packs/", f"/kept/{{{names}}}")
        self._run([*self.curl, "-o", f"{self.folder}/#1", url])

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True)

    def airgap_up(self) -> None:
        transport = self.server.open("")
        for path in self.packs:
            assert transport.put(f"packs/{path.name}", path, PACK) == "stored"  # noqa: S101
        transport.close()

    def airgap_down(self) -> None:
        transport = self.server.open("")
        for path in self.packs:
            with (self.folder / path.name).open("wb", buffering=0) as file:
                assert transport.get(f"kept/{path.name}", file.write) == PACK  # noqa: S101
        transport.close()


def run(
    clients: dict[str, Callable[[], None]], rounds: int, bench: Bench
) -> dict[str, list[float]]:
    """Return the seconds of each client in each round, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in clients}
    for number in range(rounds + 1):
        for name in sorted(clients, reverse=bool(number % 2)):
            bench.clean()
            started = time.perf_counter()
            clients[name]()
            if number:
                times[name].append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
