"""SFTP as airgap speaks it against OpenSSH's own `sftp`: packs up and down, on one sshd.

python bench/sftp.py FOLDER [MIB] [ROUNDS]

FOLDER is made, and removed at the end; one in memory (/dev/shm) keeps the disk out of it. It needs
room for three times MIB. Rounds go through all contestants in turn; the figures are medians of MB/s
(of wall time), and of the seconds that the client's processors worked. airgap hashes what it reads.
"""

import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))
from airgap.transport.sftp.transport import SftpTransport
from tests.servers import ssh

PACK_MIB: Final = 64
MIB: Final = 1024 * 1024
Contest = Callable[[list[Path]], None]


def main() -> None:
    """Print one line for each contestant and direction."""
    folder, mib, rounds, *_ = [*sys.argv[1:], "1024", "5"][:3]
    top = Path(folder).absolute()
    top.mkdir(parents=True)
    try:
        with ssh.serve(top) as server:
            compete(top, server, int(mib), int(rounds))
    finally:
        shutil.rmtree(top)


def compete(top: Path, server: ssh.SshServer, mib: int, rounds: int) -> None:
    """Let all contestants carry the same packs, in turn."""
    packs = make_packs(top / "packs", mib)
    contests = {
        "airgap, 1 connection": airgap(server, top / "back", 1),
        "airgap, 4 connections": airgap(server, top / "back", 4),
        "sftp": native(server, top / "back"),
        "sftp, AES-GCM": native(server, top / "back", "-c", "aes128-gcm@openssh.com"),
    }
    print(f"{mib} MiB in packs of {PACK_MIB} MiB, {rounds} rounds, {os.cpu_count()} processors,")
    print(f"load before: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    print(f"{'':24} {'MB/s':>6} {'CPU s':>6} {'of sftp':>8}  rounds")
    for direction in ("put", "get"):
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in contests}
        for _ in range(rounds):
            for name, (put, get) in contests.items():
                shutil.rmtree(top / "back", ignore_errors=True)
                (top / "back").mkdir()
                if direction == "put":
                    shutil.rmtree(server.served / "depot", ignore_errors=True)
                    (server.served / "depot").mkdir(parents=True)
                found[name].append(timed(put if direction == "put" else get, packs))
        report(direction, found, mib)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"peak memory of airgap with 4 connections: {peak:.0f} MB")


def report(direction: str, found: dict[str, list[tuple[float, float]]], mib: int) -> None:
    """Print medians, and the ratio to OpenSSH with the ciphers it chooses itself."""
    rates = {name: [mib * MIB / 1e6 / wall for wall, _ in times] for name, times in found.items()}
    best = statistics.median(rates["sftp"])
    for name, times in found.items():
        rate = statistics.median(rates[name])
        work = statistics.median(work for _, work in times)
        each = " ".join(f"{one:.0f}" for one in rates[name])
        print(f"{direction} {name:<20} {rate:>6.0f} {work:>6.2f} {rate / best:>8.2f}  {each}")


def make_packs(folder: Path, mib: int) -> list[Path]:
    """Write packs of noise."""
    folder.mkdir()
    packs = []
    for number in range(mib // PACK_MIB):
        packs.append(folder / f"{number:03}.pack")
        with packs[-1].open("wb") as file:
            file.writelines(os.urandom(MIB) for _ in range(PACK_MIB))
    return packs


def airgap(server: ssh.SshServer, back: Path, connections: int) -> tuple[Contest, Contest]:
    """Carry packs over some connections, as the command does."""
    options = server.options("depot")

    def carry(packs: list[Path], job: Callable[[SftpTransport, Path], object]) -> None:
        left = iter(packs)
        lock = threading.Lock()

        def work() -> None:
            transport = SftpTransport(options)
            for pack in next_of(left, lock):
                job(transport, pack)
            transport.close()

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def get(transport: SftpTransport, pack: Path) -> None:
        digest = hashlib.sha256()
        with (back / pack.name).open("wb", buffering=0) as file:

            def sink(piece: memoryview) -> None:
                digest.update(piece)
                file.write(piece)

            transport.get(pack.name, sink, 0, pack.stat().st_size)

    return (
        lambda packs: carry(packs, lambda one, pack: one.put(pack.name, pack, pack.stat().st_size)),
        lambda packs: carry(packs, get),
    )


def next_of(left: Iterable[Path], lock: threading.Lock) -> Iterable[Path]:
    """Share packs among threads."""
    iterator = iter(left)
    while True:
        with lock:
            pack = next(iterator, None)
        if pack is None:
            return
        yield pack


def native(server: ssh.SshServer, back: Path, *more: str) -> tuple[Contest, Contest]:
    """Carry packs with OpenSSH's sftp, all in one batch."""
    options = server.options("depot")
    command = ["sftp", "-q", "-b", "-", "-i", options.keys[0], "-P", str(server.port), *more]
    command += ["-o", f"UserKnownHostsFile={options.known_hosts}", f"{options.user}@127.0.0.1"]

    def run(batch: str) -> None:
        subprocess.run(
            command, input=batch.encode(), stdout=subprocess.DEVNULL, check=True, timeout=600
        )

    return (
        lambda packs: run("".join(f"put {one} {options.folder}/{one.name}\n" for one in packs)),
        lambda packs: run(
            "".join(f"get {options.folder}/{one.name} {back}/{one.name}\n" for one in packs)
        ),
    )


def timed(run: Contest, packs: list[Path]) -> tuple[float, float]:
    """Return the seconds on the wall, and those of the client's processors."""
    before, began = work_so_far(), time.perf_counter()
    run(packs)
    return time.perf_counter() - began, work_so_far() - before


def work_so_far() -> float:
    """Seconds that this process and those it has waited for have worked."""
    both = (resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


if __name__ == "__main__":
    main()
