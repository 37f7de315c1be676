"""Memory does not grow with the number of connections, nor with what travels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airgap.flow.location.connector import CONNECTIONS
from tests.servers import ssh
from tests.support import stores
from tests.support.sides import Side, Site

MOST = 300 * 1000 * 1000
SIZE = 9 * 64
PEAK = """
import atexit, pathlib, re, sys
status = pathlib.Path("/proc/self/status")  # getrusage would count what we were forked from
atexit.register(lambda: print(
    "peak", re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1], file=sys.stderr))
from airgap.cli.main import main
main(sys.argv[1:])
"""


def peak(side: Side, *words: str | Path) -> int:
    """Run a command in a process of its own; return the most memory it had, in bytes."""
    command = [sys.executable, "-c", PEAK, *map(str, words)]
    done = subprocess.run(
        command,
        env={**os.environ, **side.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rpartition("peak ")[2]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak of a process")
def test_four_connections_need_less_than_300_mb(
    connected: Side, isolated: Side, site: Site, tmp_path: Path
) -> None:
    assert CONNECTIONS == 4
    files = {"weights.bin": b"".join(stores.noise(1 << 20, one) for one in range(SIZE))}
    stores.add_model(connected, "ranker:v1", files)
    stores.add_bento(connected, "shop:v1", {"src/x": b"1"}, models=["ranker:v1"])
    with ssh.serve(tmp_path) as server:
        options = server.options("depot")
        location = "@server"
        url = (
            f"sftp://{options.user}@127.0.0.1:{options.port}{options.folder}"
            f"?identity={server.key}&known_hosts={options.known_hosts}&agent=no"
        )
        for side in (connected, isolated):
            assert side.run("remote", "add", "server", url).code == 0
        sent = peak(connected, "export", "shop:v1", "-o", location, "--key", site.key())
        fetched = peak(isolated, "import", location)
    print(f"\nexport {sent / 1e6:.0f} MB, import {fetched / 1e6:.0f} MB")  # noqa: T201

    assert sent < MOST
    assert fetched < MOST
