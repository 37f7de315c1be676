"""An object store in this process: the part of S3 that a depot needs.

It checks neither signatures nor bodies; the real ones do.
"""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from airgap.transport.s3.options import S3Keys
from tests.servers.s3 import BUCKET, S3Server
from tests.servers.scripted import Request, Scripted
from tests.servers.scripted import reply as reply_once

__all__ = ["serve"]

KEYS = S3Keys("identity", "secret")
PAGE = 1000
reply = partial(reply_once, Connection=None)
ENTRY = (
    "<Contents><Key>{}</Key><Size>{}</Size>"
    "<LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents>"
)


@dataclass
class Objects:
    """Objects by key, and parts by upload and number."""

    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> bytes:
        url = urlsplit(request.target)
        query = {
            name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()
        }
        key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        with self.lock:
            if not key:
                return self.list(query)
            if "uploadId" in query or "uploads" in query:
                return self.upload(request, key, query)
            return self.object(request, key)

    def list(self, query: dict[str, str]) -> bytes:
        after = query.get("continuation-token") or query.get("start-after", "")
        prefix = query.get("prefix", "")
        keys = sorted(one for one in self.objects if one.startswith(prefix) and one > after)
        entries = [ENTRY.format(one, len(self.objects[one])) for one in keys[:PAGE]]
        if keys[PAGE:]:
            entries += ["<IsTruncated>true</IsTruncated>"]
            entries += [f"<NextContinuationToken>{keys[PAGE - 1]}</NextContinuationToken>"]
        return reply("200 OK", f"<ListBucketResult>{''.join(entries)}</ListBucketResult>".encode())

    def upload(self, request: Request, key: str, query: dict[str, str]) -> bytes:
        if "uploads" in query:
            name = secrets.token_hex(8)
            self.parts[name] = {}
            return reply("200 OK", f"<R><UploadId>{name}</UploadId></R>".encode())
        name = query["uploadId"]
        if name not in self.parts:
            return reply("404 Not Found", b"<Error><Code>NoSuchUpload</Code></Error>")
        if request.method == "PUT":
            self.parts[name][int(query["partNumber"])] = request.body
        else:
            parts = self.parts.pop(name)
            if request.method == "POST":
                self.objects[key] = b"".join(parts[number] for number in sorted(parts))
        return reply("200 OK", b"<R><ETag>x</ETag></R>")

    def object(self, request: Request, key: str) -> bytes:
        there = self.objects.get(key)
        if request.method == "PUT":
            if there is not None and "if-none-match" in request.headers:
                return reply("412 Precondition Failed")
            self.objects[key] = request.body
        elif request.method == "DELETE":
            self.objects.pop(key, None)
        elif there is None:
            return reply("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>")
        elif request.method == "HEAD":
            return reply("200 OK", Content_Length=str(len(there)))
        else:
            return _range(there, request.headers.get("range"))
        return reply("200 OK")


def _range(data: bytes, wanted: str | None) -> bytes:
    if wanted is None:
        return reply("200 OK", data)
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    assert found
    begin, end = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
    if begin > end:
        return reply("416 Range Not Satisfiable")
    part = data[begin : end + 1]
    return reply("206 Partial Content", part, Content_Range=f"bytes {begin}-{end}/{len(data)}")


@contextmanager
def serve(_: Path) -> Iterator[S3Server]:
    """Serve an empty bucket on loopback."""
    with Scripted(Objects().answer, persistent=True) as server:
        port = urlsplit(server.url).port
        assert port
        yield S3Server(port, KEYS)
