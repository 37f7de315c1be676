"""What every server that speaks S3 is to the contract tests: one bucket, and folders in it."""

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.store import S3Store

from airgap.transport.remote.s3 import S3Transport
from airgap.transport.remote.s3_options import S3Keys, S3Options
from tests.servers.proxy import Proxy

__all__ = ["BUCKET", "KEYS", "S3Server", "bucket_of", "free_port", "running", "wait_until"]

BUCKET = "depots"
KEYS = S3Keys("AKIDAKIDAKID", "secretsecret12345")
PATIENCE = 60.0


@dataclass(frozen=True)
class S3Server:
    """Fills ``Server``; it looks behind the server's back with the plain library."""

    port: int
    store: S3Store

    def open(self, folder: str, proxy: Proxy | None = None) -> S3Transport:
        return S3Transport(self.options(folder, proxy.port if proxy else self.port))

    def options(self, folder: str, port: int) -> S3Options:
        return S3Options(BUCKET, folder, keys=KEYS, endpoint=f"http://127.0.0.1:{port}", timeout=20)

    def files(self, folder: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for page in self.store.list(folder):
            for one in page:
                found[one["path"].removeprefix(f"{folder}/")] = bytes(
                    self.store.get(one["path"]).bytes()
                )
        return found

    def plant(self, folder: str, name: str, data: bytes) -> None:
        self.store.put(f"{folder}/{name}", data, use_multipart=False)

    def proxy(self) -> Proxy:
        return Proxy([self.port])


def bucket_of(port: int, *, make: bool = True) -> S3Store:
    """Reach the bucket with the plain library, and make it; that has no call for it but signs."""
    store = S3Store(
        BUCKET,
        config={
            "endpoint": f"http://127.0.0.1:{port}",
            "region": "us-east-1",
            "access_key_id": KEYS.identity,
            "secret_access_key": KEYS.secret,
        },
        client_options={"allow_http": True},
    )
    if make:
        url = obstore.sign(store, "PUT", "", timedelta(minutes=5))
        request = urllib.request.Request(url, method="PUT")  # noqa: S310  (http:// on loopback)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            assert answer.status == 200
    return store


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        number: int = one.getsockname()[1]
    return number


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server in the foreground of a process of its own; stop it by its id."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=None if environment is None else dict(environment),
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Ask until it is so; a server that does not come up is an error, not a skip."""
    end = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < end, f"{what} does not come up"
        time.sleep(0.1)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
