"""How fast packs go to an object store and come back: airgap, obstore alone, boto3 if it is there.

PYTHONPATH=. python bench/s3.py [ROUNDS [PACKS]]

The server is Ceph's gateway on loopback, with its objects in memory. Each contender is a process of
its own; they take turns, in another order each round. A pack has 64 MiB. What comes down is counted
and dropped. Times are without the start of the process; memory is its peak, as the kernel counted
it. Imports are where they are used, because memory is measured.
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
LANES: Final = 4
CONTENDERS: Final = ("airgap", "airgap, 1 lane", "obstore", "obstore, 4 threads", "boto3")
WAYS: Final = ("up", "down")
IDENTITY: Final = "AKIDAKIDAKID"
SECRET: Final = "secretsecret12345"  # noqa: S105  (of a server that lives for minutes)
BUCKET: Final = "depots"

Runs = dict[tuple[str, str], list[tuple[float, float]]]


def main() -> None:
    """Run all in turn and print the medians, or (started by ourselves) run one."""
    if sys.argv[1:2] == ["--one"]:
        contender, way, port, folder = sys.argv[2:]
        seconds = timed(contender, way, int(port), sorted(Path(folder).iterdir()))
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    from tests.servers import rgw

    rounds, packs = (
        int(sys.argv[at]) if sys.argv[at:] else usual for at, usual in ((1, 3), (2, 16))
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
    """Let them take turns."""
    present = [one for one in CONTENDERS if one != "boto3" or importlib.util.find_spec("boto3")]
    found: Runs = {(one, way): [] for one in present for way in WAYS}
    run("obstore", "up", port, folder)  # a new gateway makes its pools first
    for number in range(rounds):
        first = number % len(present)
        for contender in present[first:] + present[:first]:
            for way in WAYS:
                found[contender, way].append(run(contender, way, port, folder))
            for path in folder.iterdir():
                store(port).delete(f"{top_of(contender)}/{path.name}")
    return found


def show(found: Runs, packs: int, rounds: int) -> None:
    """Print medians in MB/s and their ratio to obstore's, and the highest peak of memory."""
    load = os.getloadavg()[0]
    print(f"{packs} packs of 64 MiB, {rounds} rounds; {os.cpu_count()} processors, load {load:.1f}")
    print(f"{'':<20}{'up MB/s':>8}{'ratio':>7}{'down MB/s':>11}{'ratio':>7}{'peak MB':>9}")
    rates = {
        key: packs * PACK / 1e6 / statistics.median(seconds for seconds, _ in runs)
        for key, runs in found.items()
    }
    for one in dict.fromkeys(contender for contender, _ in found):
        up, down = (rates[one, way] for way in WAYS)
        ratios = [rates[one, way] / rates["obstore", way] for way in WAYS]
        peak = max(peak for way in WAYS for _, peak in found[one, way])
        print(f"{one:<20}{up:>8.0f}{ratios[0]:>7.2f}{down:>11.0f}{ratios[1]:>7.2f}{peak:>9.0f}")


def run(contender: str, way: str, port: int, folder: Path) -> tuple[float, float]:
    """Return seconds and MB of one contender in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", contender, way, str(port), str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def timed(contender: str, way: str, port: int, packs: list[Path]) -> float:
    """Return how long a contender takes, when it is imported and made."""
    kind, _, more = contender.partition(", ")
    make = {"airgap": with_airgap, "obstore": with_obstore, "boto3": with_boto3}[kind]
    work = make(way, port, top_of(contender), 1 if more == "1 lane" else LANES if more else 0)
    begin = time.perf_counter()
    work(packs)
    return time.perf_counter() - begin


Work = Callable[[list[Path]], object]


def with_airgap(way: str, port: int, top: str, lanes: int) -> Work:
    """Make what ``push`` and ``pull`` do; 0 lanes are the usual number."""
    from airgap.transport.connections import ConnectionPool
    from airgap.transport.port import Transport
    from airgap.transport.s3.options import S3Keys, S3Options
    from airgap.transport.s3.transport import S3Transport

    keys = S3Keys(IDENTITY, SECRET)
    transport = S3Transport(S3Options(BUCKET, top, keys=keys, endpoint=f"http://127.0.0.1:{port}"))

    def one(path: Path) -> Callable[[Transport], object]:
        if way == "up":
            return lambda lane: lane.put(path.name, path, PACK)
        return lambda lane: lane.get(path.name, len)

    def work(packs: list[Path]) -> None:
        side_by_side: ConnectionPool[object] = ConnectionPool(transport, lanes or LANES)
        for future in [side_by_side.submit(one(path)) for path in packs]:
            demand(future.result() in ("stored", PACK))
        side_by_side.close()

    return work


def with_obstore(way: str, port: int, top: str, threads: int) -> Work:
    """Make the library's plainest use: one file after the other, in as many parts as it likes."""
    plain = store(port)

    def one(path: Path) -> None:
        if way == "up":
            plain.put(f"{top}/{path.name}", path)
        else:
            demand(sum(len(piece) for piece in plain.get(f"{top}/{path.name}")) == PACK)

    return lambda packs: list(ThreadPoolExecutor(threads or 1).map(one, packs))


def with_boto3(way: str, port: int, top: str, _: int) -> Work:
    """Make what Amazon's own tools are made of, with ten threads for each file."""
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
    """Reach the bucket with nothing but the library."""
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


def top_of(contender: str) -> str:
    """Name the folder of a contender."""
    return contender.replace(" ", "-").replace(",", "")


def demand(good: object) -> None:
    """End if something did not go well: its time means nothing."""
    if not good:
        sys.exit("something is missing")


if __name__ == "__main__":
    main()
