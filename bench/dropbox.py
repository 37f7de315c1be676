"""Does a drop box answer while it imports a large bundle? ``python bench/dropbox.py [MIB]``.

Uploads a bundle (1,024 MiB of content that does not compress) over FTPS, then asks NOOP every 20 ms
until it is imported. Prints the speed of the upload, and how long answers took.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import drop_box, sides, stores
from tests.support.drop_box import Client, RunningDropBox
from tests.support.sides import Side

PIECE = 4 * 1024 * 1024


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory(prefix="bench-dropbox-") as name:
        top = Path(name)
        archive, isolated = make_bundle(top, size)
        certificate = drop_box.make_certificate(top)
        path = drop_box.write_config(top, certificate, user='max_bytes = "1 TB"')
        words = ["serve", "dropbox", "--config", path, "--json"]
        with (
            isolated.here(),
            subprocess.Popen(
                [sys.executable, "-m", "airgap", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ) as server,
        ):
            line = next(line for line in server.stderr or () if '"serving"' in line)
            measure(certificate, json.loads(line)["ports"][0], archive, top / "state")
            peak = Path(f"/proc/{server.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
            server.terminate()
            server.communicate()
        print(f"peak memory: server {int(peak) / 1024:.0f} MiB, import {import_peak():.0f} MiB")


def make_bundle(top: Path, size: int) -> tuple[Path, Side]:
    """Export a model of ``size`` MiB; return the file, and a side that trusts its builder."""
    (top / "site").mkdir()
    site = sides.make_site(top / "site")
    connected, isolated = Side(top / "connected"), Side(top / "isolated")
    connected.top.mkdir()
    isolated.top.mkdir()
    sides.trust(isolated, site)
    folder = stores.add_model(connected, "big:v1", {})
    with (folder / "weights.bin").open("wb") as file:
        for _ in range(size * 1024 * 1024 // PIECE):
            file.write(os.urandom(PIECE))
    archive = top / "big.airgap"
    ran = connected.run("export", "--model", "big:v1", "-o", archive, "--key", site.key())
    if ran.code:
        sys.exit(ran.err)
    return archive, isolated


def measure(certificate: Path, port: int, archive: Path, state: Path) -> None:
    server = RunningDropBox(state, certificate, drop_box=None)  # type: ignore[arg-type]
    url = f"ftp://127.0.0.1:{port}/"
    with Client(server, port=port) as client:
        client.auth()
        client.login("ann", drop_box.PASSWORD)
        began = time.monotonic()
        ran = server.curl("-T", archive, "--max-time", "600", url=url)
        if ran.returncode:
            sys.exit(ran.stderr)
        took = time.monotonic() - began
        mib = archive.stat().st_size / 1024**2
        print(f"upload of {mib:.0f} MiB over FTPS with curl: {took:.1f} s, {mib / took:.0f} MiB/s")
        began, times = time.monotonic(), []
        while not server.log("imported"):
            asked = time.monotonic()
            client.voidcmd("NOOP")
            times.append(time.monotonic() - asked)
            time.sleep(0.02)
        took = time.monotonic() - began
    times.sort()
    print(f"import: {took:.1f} s; {len(times)} answers meanwhile, in ms:", end=" ")
    print(f"median {1000 * statistics.median(times):.1f}", end=", ")
    print(f"99 % {1000 * times[len(times) * 99 // 100]:.1f}, longest {1000 * times[-1]:.1f}")


def import_peak() -> float:
    """Return the largest resident size of any process that ended: the import is the largest."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


if __name__ == "__main__":
    main()
