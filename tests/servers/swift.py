"""OpenStack Swift with its S3 front, one server of each kind: the other way to make S3.

It checks signatures and bodies too, and knows no conditional writes.
"""

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from airgap.transport.s3.options import S3Keys
from tests.servers.s3 import S3Server, accepts, free_port, running, wait_until

__all__ = ["serve"]

PYTHON = "/usr/bin/python3"  # the one that Debian's package is for
PACKAGE = Path("/usr/lib/python3/dist-packages/swift")
KEYS = S3Keys("test:tester", "secretsecret12345")
STRANGER = S3Keys("test:stranger", "strangestrange123")
LAUNCH = """
import sys
from swift.common import utils
utils.set_swift_dir(sys.argv[1])
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3]))
"""
RING = """
import sys
from swift.cli.ringbuilder import main
for words in (["create", "2", "1", "0"], ["add", sys.argv[2], "1"], ["rebalance"]):
    try:
        main(["ringbuilder", sys.argv[1], *words])
    except SystemExit as ended:
        if ended.code:
            raise
"""
COMMON = """
[swift-hash]
swift_hash_path_suffix = airgap
[storage-policy:0]
name = Policy-0
default = yes
"""
SERVER = """
[DEFAULT]
devices = {top}/srv
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {top}
user = {user}
log_level = WARNING
"""
KEEPER = """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
FRONT = f"""
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth slo copy proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {KEYS.secret} .admin
user_test_stranger = {STRANGER.secret}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
"""
FILTERS = "".join(
    f"[filter:{name}]\nuse = egg:swift#{name}\n"
    for name in ("catch_errors", "gatekeeper", "listing_formats", "bulk", "slo", "copy")
)


@contextmanager
def serve(top: Path) -> Iterator[S3Server]:
    """Start account, container and object server, and the front; it takes some seconds."""
    if not PACKAGE.exists():
        pytest.skip("not installed: python3-swift")
    (top / "srv" / "disk").mkdir(parents=True)
    (top / "swift.conf").write_text(COMMON)
    with ExitStack() as servers:
        for kind in ("account", "container", "object"):
            port = _start(top, kind, KEEPER.format(kind=kind), servers)
            _run(RING, top / f"{kind}.builder", f"r1z1-127.0.0.1:{port}/disk")
        port = _start(top, "proxy", FRONT + FILTERS, servers)
        wait_until(lambda: accepts(port), "Swift")
        yield S3Server(port, KEYS, conditional=False, stranger=STRANGER).make_bucket()


def _start(top: Path, kind: str, sections: str, servers: ExitStack) -> int:
    port, path = free_port(), top / f"{kind}.conf"
    path.write_text(SERVER.format(top=top, port=port, user=getpass.getuser()) + sections)
    command: list[str | Path] = [PYTHON, "-c", LAUNCH, top, path, f"{kind}-server"]
    servers.enter_context(running(command, top / f"{kind}.out"))
    return port


def _run(program: str, *words: str | Path) -> None:
    done = subprocess.run(
        [PYTHON, "-c", program, *words], capture_output=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
