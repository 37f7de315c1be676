"""S3 by airgap, by obstore alone and by boto3, if installed: packs up and down, on one gateway.

PYTHONPATH=. python bench/s3.py [ROUNDS [PACKS]]

The server is Ceph's gateway on loopback, with its objects in memory. Each client is a process of
its own; they take turns, in another order each round. A pack has 64 MiB. Downloads are counted and
dropped. Times exclude the start of the process; memory is its peak as the kernel counts it. Modules
are imported where they are used, because memory is measured.
"""

import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

MIB: Final = 1024 * 1024
PACK: Final = 64 * MIB
CONNECTIONS: Final = 4
CLIENTS: Final = ("airgap", "airgap, 1 connection", "obstore", "obstore, 4 threads", "boto3")
DIRECTIONS: Final = ("up", "down")
IDENTITY: Final = "AKIDAKIDAKID"
SECRET: Final = "secretsecret12345"  # noqa: S105  (of a server that runs for minutes)
BUCKET: Final = "depots"

Runs = dict[tuple[str, str], list[tuple[float, float]]]


def main() -> None:
    """Run all clients in turn and print the medians, or (as a subprocess) run one."""
    if sys.argv[1:2] == ["--run"]:
        client_name, way, port, folder = sys.argv[2:]
        seconds = measure(client_name, way, int(port), sorted(Path(folder).iterdir()))
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    from tests.servers import rgw

    rounds, packs = (
        int(sys.argv[at]) if sys.argv[at:] else default for at, default in ((1, 3), (2, 16))
    )
    with tempfile.TemporaryDirectory() as name:
        folder, top = Path(name, "packs"), Path(name, "server")
        folder.mkdir()
        top.mkdir()
        for number in range(packs):
            (folder / f"{number:02}").write_bytes(os.urandom(PACK))
        with rgw.serve(top) as server:
            show(compare(server.port, folder, rounds), packs, rounds)


def compare(port: int, folder: Path, rounds: int) -> Runs:
    """Let the clients take turns."""
    present = [name for name in CLIENTS if name != "boto3" or importlib.util.find_spec("boto3")]
    runs: Runs = {(name, way): [] for name in present for way in DIRECTIONS}
    run("obstore", "up", port, folder)  # a new gateway makes its pools first
    for number in range(rounds):
        first = number % len(present)
        for client_name in present[first:] + present[:first]:
            for way in DIRECTIONS:
                runs[client_name, way].append(run(client_name, way, port, folder))
            for path in folder.iterdir():
                store(port).delete(f"{folder_of(client_name)}/{path.name}")
    return runs


def show(runs: Runs, packs: int, rounds: int) -> None:
    """Print medians in MB/s, their ratio to obstore's, and the highest peak of memory."""
    load = os.getloadavg()[0]
    print(f"{packs} packs of 64 MiB, {rounds} rounds; {os.cpu_count()} processors, load {load:.1f}")
    print(f"{'':<20}{'up MB/s':>8}{'ratio':>7}{'down MB/s':>11}{'ratio':>7}{'peak MB':>9}")
    rates = {
        key: packs * PACK / 1e6 / statistics.median(seconds for seconds, _ in measured)
        for key, measured in runs.items()
    }
    for name in dict.fromkeys(client_name for client_name, _ in runs):
        up, down = (rates[name, way] for way in DIRECTIONS)
        ratios = [rates[name, way] / rates["obstore", way] for way in DIRECTIONS]
        peak = max(peak for way in DIRECTIONS for _, peak in runs[name, way])
        print(f"{name:<20}{up:>8.0f}{ratios[0]:>7.2f}{down:>11.0f}{ratios[1]:>7.2f}{peak:>9.0f}")


def run(client_name: str, way: str, port: int, folder: Path) -> tuple[float, float]:
    """Return the seconds and the MB of one client in its own process."""
    completed = subprocess.run(
        [sys.executable, __file__, "--run", client_name, way, str(port), str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, peak = map(float, completed.stdout.split())
    return seconds, peak


def measure(client_name: str, way: str, port: int, packs: list[Path]) -> float:
    """Return how long a client takes, after its imports."""
    kind, _, more = client_name.partition(", ")
    make = {"airgap": with_airgap, "obstore": with_obstore, "boto3": with_boto3}[kind]
    work = make(
        way,
        port,
        folder_of(client_name),
        1 if more == "1 connection" else CONNECTIONS if more else 0,
    )
    started = time.perf_counter()
    work(packs)
    return time.perf_counter() - started


Work = Callable[[list[Path]], object]


def with_airgap(way: str, port: int, top: str, connections: int) -> Work:
    """Transfer as ``push`` and ``pull`` do; 0 connections mean the default number."""
    from airgap.transport.connections import ConnectionPool
    from airgap.transport.port import Transport
    from airgap.transport.s3.options import S3Keys, S3Options
    from airgap.transport.s3.transport import S3Transport

    keys = S3Keys(IDENTITY, SECRET)
    transport = S3Transport(S3Options(BUCKET, top, keys=keys, endpoint=f"http://127.0.0.1:{port}"))

    def transfer(path: Path) -> Callable[[Transport], object]:
        if way == "up":
            return lambda connection: connection.put(path.name, path, PACK)
        return lambda connection: connection.get(path.name, len)

    def work(packs: list[Path]) -> None:
        pool: ConnectionPool[object] = ConnectionPool(transport, connections or CONNECTIONS)
        for future in [pool.submit(transfer(path)) for path in packs]:
            require(future.result() in ("stored", PACK))
        pool.close()

    return work


def with_obstore(way: str, port: int, top: str, threads: int) -> Work:
    """Use the library plainly: one file after the other, in as many parts as it chooses."""
    bucket = store(port)

    def transfer(path: Path) -> None:
        if way == "up":
            bucket.put(f"{top}/{path.name}", path)
        else:
            require(sum(len(piece) for piece in bucket.get(f"{top}/{path.name}")) == PACK)

    return lambda packs: list(ThreadPoolExecutor(threads or 1).map(transfer, packs))


def with_boto3(way: str, port: int, top: str, _: int) -> Work:
    """Use what Amazon's own tools are built on, with ten threads for each file."""
    import boto3  # type: ignore[import-not-found]

    client: Any = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=IDENTITY,
        aws_secret_access_key=SECRET,
    )

    def work(packs: list[Path]) -> None:
        with Path(os.devnull).open("wb") as nothing:
            for path in packs:
                if way == "up":
                    client.upload_file(str(path), BUCKET, f"{top}/{path.name}")
                else:
                    client.download_fileobj(BUCKET, f"{top}/{path.name}", nothing)

    return work


def store(port: int) -> Any:  # noqa: ANN401  (imported where it is used)
    """Open the bucket with the library alone."""
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        config={
            "endpoint": f"http://127.0.0.1:{port}",
            "region": "us-east-1",
            "access_key_id": IDENTITY,
            "secret_access_key": SECRET,
        },
        client_options={"allow_http": True},
    )


def folder_of(client_name: str) -> str:
    """Return the folder of a client."""
    return client_name.replace(" ", "-").replace(",", "")


def require(success: object) -> None:
    """Exit if a transfer failed: its time is meaningless."""
    if not success:
        sys.exit("a transfer failed")


if __name__ == "__main__":
    main()
