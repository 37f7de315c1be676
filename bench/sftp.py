"""SFTP by airgap, by paramiko's own client and by OpenSSH: packs up and down, on one sshd.

python bench/sftp.py FOLDER [MIB] [ROUNDS]

FOLDER is made, and removed at the end; one in memory (/dev/shm) keeps the disk out of it. It needs
room for three times MIB. In each round every client carries the same packs, one client after the
other; a ratio compares a client with airgap over one connection in the same round. Each runs in a
process of its own, whose processor seconds and peak memory are its own. All hash what they read,
but OpenSSH.

Paramiko's client (`SFTPClient`) runs on the same SSH connection as airgap: same ciphers, same
window, same deadlines. It reads with a prefetch of 64 requests and writes pipelined, with requests
of 32 KiB (its default) and of 255 KiB (the largest that OpenSSH takes).
"""

import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paramiko import SFTPClient

sys.path.insert(0, str(Path(__file__).parent.parent))
from airgap.transport.sftp import known_hosts, ssh_config
from airgap.transport.sftp.login import SshCredentials
from airgap.transport.sftp.options import SftpOptions
from airgap.transport.sftp.ssh_stream import SshStream
from airgap.transport.sftp.transport import SftpTransport
from tests.servers import ssh

PACK_MIB: Final = 64
KIB: Final = 1024
MIB: Final = 1024 * KIB
BASELINE: Final = "airgap, 1 connection"
PREFETCHED_REQUESTS: Final = 64  # as OpenSSH's sftp, and as airgap
Transfer = Callable[[Sequence[Path]], None]


@dataclass(frozen=True)
class Client:
    """What sends packs to the depot and what fetches them into the folder `back`."""

    put: Transfer
    get: Transfer


@dataclass(frozen=True)
class Measurement:
    """One run: seconds by the clock, seconds of the client's processors, peak memory in bytes."""

    wall: float
    cpu: float
    memory: int


def main() -> None:
    folder, mib, rounds, *_ = [*sys.argv[1:], "1024", "11"][:3]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    try:
        with ssh.serve(top) as server:
            compare(top, server, int(mib), int(rounds))
    finally:
        shutil.rmtree(top)


def compare(top: Path, server: ssh.SshServer, mib: int, rounds: int) -> None:
    packs = make_packs(top / "packs", mib)
    back, depot = top / "back", server.served / "depot"
    clients = {
        BASELINE: airgap(server, back, 1),
        "airgap, 4 connections": airgap(server, back, 4),
        "paramiko, 32 KiB": paramiko(server, back, 32 * KIB),
        "paramiko, 255 KiB": paramiko(server, back, 255 * KIB),
        "sftp": openssh(server, back),
        "sftp, AES-GCM": openssh(server, back, "-c", "aes128-gcm@openssh.com"),
    }
    print(f"{mib} MiB in packs of {PACK_MIB} MiB, {rounds} rounds, {os.cpu_count()} processors,")
    print(f"load before: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    for direction in ("put", "get"):
        runs: dict[str, list[Measurement]] = {name: [] for name in clients}
        for _ in range(rounds):
            for name, client in clients.items():
                for emptied in (back, *([depot] if direction == "put" else [])):
                    shutil.rmtree(emptied, ignore_errors=True)
                    emptied.mkdir(parents=True)
                transfer = client.put if direction == "put" else client.get
                runs[name].append(measure(transfer, packs))
        report(direction, runs, mib)


def report(direction: str, runs: dict[str, list[Measurement]], mib: int) -> None:
    """Print medians; ratios to airgap over one connection with their quartiles."""
    print(f"\n{direction:22} {'MB/s':>5} {'CPU s':>6} {'MB':>5}  wall / airgap     CPU / airgap")
    for name, measurements in runs.items():
        rate = statistics.median(mib * MIB / 1e6 / one.wall for one in measurements)
        cpu = statistics.median(one.cpu for one in measurements)
        memory = max(one.memory for one in measurements) / 1e6
        pairs = list(zip(measurements, runs[BASELINE], strict=True))
        wall = quartiles([one.wall / base.wall for one, base in pairs])
        work = quartiles([one.cpu / base.cpu for one, base in pairs])
        print(f"{name:22} {rate:>5.0f} {cpu:>6.2f} {memory:>5.0f}  {wall}  {work}")


def quartiles(ratios: Sequence[float]) -> str:
    """Write a median, and in brackets the first and the third quartile."""
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def make_packs(folder: Path, mib: int) -> list[Path]:
    """Write packs of noise."""
    folder.mkdir()
    packs = []
    for number in range(mib // PACK_MIB):
        packs.append(folder / f"{number:03}.pack")
        with packs[-1].open("wb") as file:
            file.writelines(os.urandom(MIB) for _ in range(PACK_MIB))
    return packs


def airgap(server: ssh.SshServer, back: Path, connections: int) -> Client:
    """Carry packs over some connections, as the command does."""
    options = server.options("depot")

    def carry(packs: Sequence[Path], transfer: Callable[[SftpTransport, Path], object]) -> None:
        waiting = iter(packs)
        lock = threading.Lock()

        def work() -> None:
            with closing(SftpTransport(options)) as transport:
                for pack in take_turns(waiting, lock):
                    transfer(transport, pack)

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def put(transport: SftpTransport, pack: Path) -> None:
        transport.put(pack.name, pack, pack.stat().st_size)

    return Client(
        lambda packs: carry(packs, put),
        lambda packs: carry(packs, lambda transport, pack: fetch(transport, pack, back)),
    )


def fetch(transport: SftpTransport, pack: Path, back: Path) -> None:
    """Download and hash one pack."""
    digest = hashlib.sha256()
    with (back / pack.name).open("wb", buffering=0) as file:

        def sink(piece: memoryview) -> None:
            digest.update(piece)
            file.write(piece)

        transport.get(pack.name, sink, 0, pack.stat().st_size)


def take_turns(packs: Iterable[Path], lock: threading.Lock) -> Iterable[Path]:
    """Share packs among threads."""
    iterator = iter(packs)
    while True:
        with lock:
            pack = next(iterator, None)
        if pack is None:
            return
        yield pack


def paramiko(server: ssh.SshServer, back: Path, request_bytes: int) -> Client:
    """Carry packs with paramiko's own client over airgap's SSH connection."""
    options = server.options("depot")

    def get(packs: Sequence[Path]) -> None:
        with closing(connect(options)) as stream:
            client = SFTPClient(stream._channel)  # noqa: SLF001  (the connection under test)
            for pack in packs:
                digest = hashlib.sha256()
                with (
                    client.open(f"{options.folder}/{pack.name}", "rb") as remote,
                    (back / pack.name).open("wb", buffering=0) as file,
                ):
                    remote.MAX_REQUEST_SIZE = request_bytes
                    remote.prefetch(pack.stat().st_size, PREFETCHED_REQUESTS)
                    while piece := remote.read(request_bytes):
                        digest.update(piece)
                        file.write(piece)

    def put(packs: Sequence[Path]) -> None:
        with closing(connect(options)) as stream:
            client = SFTPClient(stream._channel)  # noqa: SLF001  (the connection under test)
            for pack in packs:
                part = f"{options.folder}/{pack.name}.part"
                with client.open(part, "wb") as remote, pack.open("rb", buffering=0) as file:
                    remote.MAX_REQUEST_SIZE = request_bytes
                    remote.set_pipelined(True)
                    while piece := file.read(request_bytes):
                        remote.write(piece)
                client.posix_rename(part, f"{options.folder}/{pack.name}")

    return Client(put, get)


def connect(options: SftpOptions) -> SshStream:
    """Open an SSH connection as SftpTransport does."""
    host = ssh_config.resolve(options.host, options.port, options.user, None, None)
    files = [options.known_hosts] if options.known_hosts else []
    known = known_hosts.look_up(host.host_key_name, host.port, files, required=True)
    credentials = SshCredentials(keys=options.keys, agent=False)
    return SshStream.open(host, known, credentials, options.timeouts)


def openssh(server: ssh.SshServer, back: Path, *more: str) -> Client:
    """Carry packs with OpenSSH's sftp, all in one batch."""
    options = server.options("depot")
    command = ["sftp", "-q", "-b", "-", "-i", options.keys[0], "-P", str(server.port), *more]
    command += ["-o", f"UserKnownHostsFile={options.known_hosts}", f"{options.user}@127.0.0.1"]

    def run(lines: Iterable[str]) -> None:
        batch = "".join(f"{line}\n" for line in lines).encode()
        subprocess.run(command, input=batch, stdout=subprocess.DEVNULL, check=True, timeout=600)

    depot = options.folder
    return Client(
        lambda packs: run(f"put {pack} {depot}/{pack.name}" for pack in packs),
        lambda packs: run(f"get {depot}/{pack.name} {back}/{pack.name}" for pack in packs),
    )


def measure(transfer: Transfer, packs: Sequence[Path]) -> Measurement:
    """Run a transfer in a process of its own."""
    started = time.perf_counter()
    process = os.fork()
    if not process:
        status = 1
        try:
            transfer(packs)
            status = 0
        finally:
            os._exit(status)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit("A transfer failed.")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB)


if __name__ == "__main__":
    main()
