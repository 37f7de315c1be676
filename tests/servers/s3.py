"""What every server that speaks S3 is to the contract tests: one bucket, and folders in it."""

import base64
import hashlib
import hmac
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

from airgap.transport.s3.options import S3Keys, S3Options
from airgap.transport.s3.transport import S3Transport
from tests.servers.proxy import Proxy

__all__ = [
    "BUCKET",
    "S3Server",
    "accepts",
    "ask",
    "comes",
    "free_port",
    "running",
    "wait_until",
]

BUCKET = "depots"
PATIENCE = 60.0


@dataclass(frozen=True)
class S3Server:
    """Fills ``Server``; it looks behind the server's back with requests of its own."""

    port: int
    keys: S3Keys
    conditional: bool = True
    stranger: S3Keys | None = None
    """Keys that may do nothing; None are nobody's."""
    bucket: str = BUCKET

    def open(self, folder: str, proxy: Proxy | None = None) -> S3Transport:
        return S3Transport(self.options(folder, proxy.port if proxy else self.port))

    def options(self, folder: str, port: int) -> S3Options:
        return S3Options(
            self.bucket,
            folder,
            keys=self.keys,
            endpoint=f"http://127.0.0.1:{port}",
            conditional=self.conditional,
            timeout=20,
        )

    def files(self, folder: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        after = ""
        while True:
            query = {"list-type": "2", "prefix": f"{folder}/", "start-after": after}
            page = self.ask("GET", {name: text for name, text in query.items() if text})
            keys = [unescape(key) for key in re.findall(r"<Key>([^<]*)</Key>", page.decode())]
            if not keys:
                return found
            for after in keys:
                found[after.removeprefix(f"{folder}/")] = self.ask("GET", {}, after)

    def plant(self, folder: str, name: str, data: bytes) -> None:
        self.ask("PUT", {}, f"{folder}/{name}", data)

    def unfinished(self) -> list[str]:
        """List uploads in parts that were neither completed nor removed."""
        listing = self.ask("GET", {"uploads": ""})
        return re.findall(r"<UploadId>([^<]*)<", listing.decode())

    def proxy(self) -> Proxy:
        return Proxy([self.port])

    def make_bucket(self) -> "S3Server":
        self.ask("PUT", {})
        return self

    def make_locked_bucket(self, name: str, default: str = "") -> "S3Server":
        """Make another bucket with object lock, perhaps with a default retention of 30 days."""
        other = replace(self, bucket=name)
        other.ask("PUT", {}, headers={"x-amz-bucket-object-lock-enabled": "true"})
        if default:
            rule = f"<Mode>{default}</Mode><Days>30</Days>"
            body = (
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
                f"<DefaultRetention>{rule}</DefaultRetention></Rule></ObjectLockConfiguration>"
            ).encode()
            digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            other.ask("PUT", {"object-lock": ""}, "", body, {"content-md5": digest})
        return other

    def ask(
        self,
        method: str,
        query: Mapping[str, str],
        key: str = "",
        data: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> bytes:
        """Ask about the bucket, or one of its objects."""
        server = f"http://127.0.0.1:{self.port}"
        return ask(server, method, query, self.keys, key, data, headers, self.bucket)


def ask(
    server: str,
    method: str,
    query: Mapping[str, str],
    keys: S3Keys,
    name: str = "",
    data: bytes | None = None,
    headers: Mapping[str, str] = {},
    bucket: str = BUCKET,
) -> bytes:
    """Send a request that shares no code with airgap's; AWS signature version 4, in the query."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    signed = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.identity}/{scope}",
        "X-Amz-Date": now,
        "X-Amz-Expires": "300",
        "X-Amz-SignedHeaders": ";".join(sorted({"host", *headers})),
    }
    search = urlencode(sorted({**signed, **query}.items()), quote_via=quote)
    host = server.partition("://")[2]
    path = quote(f"/{bucket}/{name}" if name else f"/{bucket}")
    signed_headers = [f"{name}:{text}" for name, text in sorted({"host": host, **headers}.items())]
    lines = [method, path, search, *signed_headers, "", signed["X-Amz-SignedHeaders"]]
    lines.append("UNSIGNED-PAYLOAD")
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = f"AWS4{keys.secret}".encode()
    for part in [*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"]:
        key = hmac.digest(key, part.encode(), "sha256")
    url = f"{server}{path}?{search}&X-Amz-Signature={key.hex()}"
    request = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310  (http:// on loopback)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        found: bytes = answer.read()
    return found


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
            process.wait(60)


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Ask until it is so; a server that does not come up is an error, not a skip."""
    assert comes(ready, PATIENCE), f"{what} does not come up"


def comes(ready: Callable[[], bool], seconds: float) -> bool:
    """Ask until it is so, but not for ever."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
