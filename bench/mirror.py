"""What a mirror takes to serve a model: processor time, for one client and for fifty, and memory.

    python bench/mirror.py [MIB]

The model is bfloat16 noise of MIB mebibytes (128). `airgap verify` of the same packs is measured in
the same run, with its start.
"""

import http.client
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import sides, stores
from tests.support.mirrors import export
from tests.support.sides import Side

PATH = "/api/v1/model_repositories/big/models/v1/download"
TICKS = os.sysconf("SC_CLK_TCK")


def make_weights(mib: int) -> bytes:
    numbers = np.random.default_rng(1).standard_normal(mib << 19, dtype=np.float32)
    data = (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    tensor = {"dtype": "BF16", "shape": [mib << 19], "data_offsets": [0, len(data)]}
    header = json.dumps({"w": tensor}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


def peak_mb(pid: int) -> float:
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024 / 1e6


def pull(url: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    connection.request("GET", PATH)
    answer, size = connection.getresponse(), 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    connection.close()
    return size


def measure_mirror(side: Side, depot: Path) -> None:
    command = [sys.executable, "-m", "airgap", "serve", "mirror", str(depot)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"],
        env={**os.environ, **side.environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = iter(process.stderr.readline, "") if process.stderr else iter(())
        url = next(line for line in lines if "Serving" in line).split()[-1]
        next(line for line in lines if line.endswith("served\n"))
        for clients in (1, 50):
            before, begin = processor_seconds(process.pid), time.monotonic()
            with ThreadPoolExecutor(clients) as pool:
                size = sum(pool.map(pull, [url] * clients))
            took = processor_seconds(process.pid) - before
            rate, wall = size / 1e6 / took, size / 1e6 / (time.monotonic() - begin)
            memory = peak_mb(process.pid)
            print(f"{clients} clients: {rate:.0f} MB per processor second, {wall:.0f} MB/s,"
                  f" {memory:.0f} MB of memory at most")  # fmt: skip
        process.send_signal(signal.SIGTERM)


def main() -> None:
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 128
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        site, office, ward = sides.make_site(top / "site"), Side(top / "o"), Side(top / "w")
        for side in (office, ward):
            side.top.mkdir()
        sides.trust(ward, site)
        stores.add_model(office, "big:v1", {"model.safetensors": make_weights(mib)})
        export(office, top / "depot", site, "--model", "big:v1")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ward.process("verify", top / "depot").returncode != 0:
            raise SystemExit("airgap verify has failed")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"airgap verify: {mib * 1.048576 / took:.0f} MB per processor second")
        measure_mirror(ward, top / "depot")


if __name__ == "__main__":
    main()
