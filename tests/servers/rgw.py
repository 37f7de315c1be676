"""Ceph's object gateway with one monitor and one disk in memory: S3 as it is in data centres.

It checks signatures, and refuses a body that is not what was signed.
"""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from airgap.transport.s3.options import S3Keys
from tests.servers.s3 import S3Server, accepts, comes, free_port, running, wait_until

__all__ = ["serve"]

KEYS = S3Keys("AKIDAKIDAKID", "secretsecret12345")
DISK_SECONDS = 15.0
PROGRAMS = ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool"]
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{port}
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd class update on start = false
osd objectstore = memstore
memstore device bytes = 8589934592
osd data = {top}/osd
mon data = {top}/mon
mon max pg per osd = 1000
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
run dir = {top}
admin socket = {top}/$name.asok
log file = {top}/$name.log
rgw data = {top}/rgw
rgw enable usage log = false
rgw enable ops log = false
rgw gc obj min wait = 1
rgw gc processor period = 2
rgw gc processor max time = 2
rgw gc max concurrent io = 40
"""


@contextmanager
def serve(top: Path) -> Iterator[S3Server]:
    """Start the three daemons; it takes some seconds."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    with ExitStack() as daemons:
        configuration = _start_monitor(top, daemons)
        _start_disk(top, configuration, daemons)
        _run(
            *("radosgw-admin", "-c", configuration, "user", "create", "--uid=a"),
            *("--display-name=a", f"--access-key={KEYS.identity}", f"--secret={KEYS.secret}"),
        )
        port = free_port()
        frontend = f"beast endpoint=127.0.0.1:{port} tcp_nodelay=1"
        command = ["radosgw", "-c", configuration, "-n", "client.rgw.a", "-f"]
        daemons.enter_context(running([*command, "--rgw-frontends", frontend], top / "gateway.out"))
        wait_until(lambda: accepts(port), "the gateway")
        yield S3Server(port, KEYS).make_bucket()


def _start_monitor(top: Path, daemons: ExitStack) -> str:
    """Make a cluster of one monitor and start it; return its configuration file."""
    for name in ("mon", "osd", "rgw"):
        (top / name).mkdir()
    fsid, port = str(uuid.uuid4()), free_port()
    path = top / "ceph.conf"
    path.write_text(CONFIGURATION.format(fsid=fsid, port=port, top=top))
    configuration, monmap = str(path), str(top / "monmap")
    _run(
        *("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{port}]"),
        *("--fsid", fsid, monmap),
    )
    monitor = ["ceph-mon", "-i", "a", "-c", configuration]
    _run(*monitor, "--mkfs", "--monmap", monmap)
    daemons.enter_context(running([*monitor, "-f"], top / "monitor.out"))
    wait_until(lambda: _succeeds("ceph", "-c", configuration, "mon", "stat"), "the monitor")
    return configuration


def _start_disk(top: Path, configuration: str, daemons: ExitStack) -> None:
    disk, ceph = ["ceph-osd", "-i", "0", "-c", configuration], ["ceph", "-c", configuration]
    _run(*disk, "--mkfs")
    _run(*ceph, "osd", "new", (top / "osd" / "fsid").read_text().strip())
    _run(*ceph, *["osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default"])
    for _ in range(4):  # now and then one hears nothing from the monitor, and waits for ever
        with ExitStack() as one:
            one.enter_context(running([*disk, "-f"], top / "disk.out"))
            if comes(lambda: b"1 up" in _output(*ceph, "osd", "stat"), DISK_SECONDS):
                daemons.push(one.pop_all())
                return
    raise AssertionError("the disk does not come up")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, timeout=90)
    assert done.returncode == 0, (command, done.stderr[-2000:])


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _output(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=False, timeout=30).stdout
