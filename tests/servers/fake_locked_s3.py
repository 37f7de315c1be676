"""A bucket with object lock in this process, with a clock of its own (format §37).

It keeps versions and locks as Ceph's gateway does, and like it forgets the lock that an upload in
parts asks for. Whether real servers keep what they lock, only the tests with Ceph say.
"""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qs, unquote, urlsplit

from airgap.times import format_time
from airgap.transport.object_lock import LockMode, ObjectRetention
from airgap.transport.s3.lock_answers import parse_retention, parse_retention_headers
from tests.servers.scripted import Request, Scripted
from tests.servers.scripted import reply as reply_once

__all__ = ["BUCKET", "Kept", "LockedBucket", "serve"]

BUCKET = "archive"
DAY = 24 * 3600
reply = partial(reply_once, Connection=None)


@dataclass
class Kept:
    """One version; a delete marker has no data."""

    id: str
    data: bytes | None
    retention: ObjectRetention | None = None


@dataclass
class LockedBucket:
    """Versions by key, the latest first."""

    now: int
    enabled: bool = True
    default: tuple[LockMode, int] | None = None
    shows_locks: bool = True
    """Whether a response to HEAD says how an object is locked: not to every account."""
    versions: dict[str, list[Kept]] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    page: int = 1000
    keeps_locks: bool = True
    """Whether it keeps the locks that it confirms."""
    damages: bool = False
    """Whether it stores packs with other bytes."""
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def plant(self, key: str, data: bytes | None, retention: ObjectRetention | None = None) -> Kept:
        """Write behind the back of airgap."""
        version = Kept(secrets.token_hex(8), data, retention)
        self.versions.setdefault(key, []).insert(0, version)
        return version

    def answer(self, request: Request) -> bytes:
        with self.mutex:
            return self._answer(request)

    def _answer(self, request: Request) -> bytes:
        url = urlsplit(request.target)
        pairs = parse_qs(url.query, keep_blank_values=True).items()
        query = {name: values[0] for name, values in pairs}
        key = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        self.requests.append(f"{request.method} {key}?{'&'.join(sorted(query))}".rstrip("?"))
        if not key:
            return self._ask_bucket(query)
        if "uploads" in query or "uploadId" in query:
            return self._upload(request, key, query)
        if "retention" in query:
            return self._retention(request, key, query.get("versionId", ""))
        return self._object(request, key, query.get("versionId", ""))

    def _ask_bucket(self, query: dict[str, str]) -> bytes:
        if "object-lock" in query:
            if not self.enabled:
                return error("404 Not Found", "ObjectLockConfigurationNotFoundError")
            mode, days = self.default or ("", 0)
            retention = (
                f"<DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention>"
            )
            rule = f"<Rule>{retention}</Rule>" if self.default else ""
            return xml(
                "ObjectLockConfiguration", f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}"
            )
        if "versioning" in query:
            return xml(
                "VersioningConfiguration", "<Status>Enabled</Status>" if self.enabled else ""
            )
        prefix = query.get("prefix", "")
        if "versions" in query:
            return self._list_versions(prefix, query.get("version-id-marker", ""))
        after = query.get("continuation-token") or query.get("start-after", "")
        keys = [key for key in sorted(self.versions) if key.startswith(prefix) and key > after]
        shown = [key for key in keys if self.versions[key][0].data is not None]
        return xml(
            "ListBucketResult", "".join(f"<Contents><Key>{key}</Key></Contents>" for key in shown)
        )

    def _list_versions(self, prefix: str, after: str) -> bytes:
        listed = [
            (key, version, version is self.versions[key][0])
            for key in sorted(self.versions)
            if key.startswith(prefix)
            for version in self.versions[key]
        ]
        ids = [version.id for _, version, _ in listed]
        start = ids.index(after) + 1 if after else 0
        shown, rest = listed[start : start + self.page], listed[start + self.page :]
        entries = "".join(_describe(*entry) for entry in shown)
        if rest:
            key, version, _ = shown[-1]
            entries += "<IsTruncated>true</IsTruncated>"
            entries += f"<NextKeyMarker>{key}</NextKeyMarker>"
            entries += f"<NextVersionIdMarker>{version.id}</NextVersionIdMarker>"
        return xml("ListVersionsResult", entries)

    def _upload(self, request: Request, key: str, query: dict[str, str]) -> bytes:
        if "uploads" in query:
            name = secrets.token_hex(8)
            self.parts[name] = {}
            return xml("R", f"<UploadId>{name}</UploadId>")
        name = query["uploadId"]
        if request.method == "PUT":
            self.parts[name][int(query["partNumber"])] = request.body
        else:
            parts = self.parts.pop(name)
            if (
                request.method == "POST"
            ):  # the lock that was asked for at the beginning is forgotten
                data = b"".join(parts[number] for number in sorted(parts))
                self.plant(key, data, self._choose_default())
        return reply("200 OK", b"<R/>", ETag='"x"')

    def _retention(self, request: Request, key: str, version: str) -> bytes:
        found = self._find(key, version)
        if found is None:
            return error("404 Not Found", "NoSuchKey")
        if request.method == "PUT":
            wanted = parse_retention(request.body)
            checked = {"content-md5", "x-amz-checksum-sha256"} & request.headers.keys()
            if wanted is None or not checked:
                return error("400 Bad Request", "InvalidRequest")
            if found.retention and wanted.until < found.retention.until:
                return error("403 Forbidden", "AccessDenied")
            found.retention = wanted if self.keeps_locks else found.retention
            return reply("200 OK")
        if found.retention is None:
            return error("404 Not Found", "NoSuchObjectLockConfiguration")
        until = format_time(found.retention.until)
        return xml(
            "Retention",
            f"<Mode>{found.retention.mode}</Mode><RetainUntilDate>{until}</RetainUntilDate>",
        )

    def _object(self, request: Request, key: str, version: str) -> bytes:
        if request.method == "PUT":
            retention = parse_retention_headers(lambda name: request.headers.get(name, ""))
            is_damaged = self.damages and key.endswith(".pack")
            body = bytes(len(request.body)) if is_damaged else request.body
            self.plant(
                key, body, (retention if self.keeps_locks else None) or self._choose_default()
            )
            return reply("200 OK")
        if request.method == "DELETE":
            return self._delete(key, version)
        found = self._find(key, version)
        if found is None:
            return error("404 Not Found", "NoSuchKey")
        assert found.data is not None
        locks: dict[str, str | None] = {}
        if found.retention and self.shows_locks:
            locks = {
                "x-amz-object-lock-mode": found.retention.mode,
                "x-amz-object-lock-retain-until-date": format_time(found.retention.until),
            }
        if request.method == "HEAD":
            return reply("200 OK", b"", **{"Content-Length": str(len(found.data)), **locks})
        return _range(found.data, request.headers.get("range"))

    def _delete(self, key: str, version: str) -> bytes:
        if not version:
            self.plant(key, None)
            return reply("204 No Content")
        found = self._find(key, version, hidden=True)
        if found and found.retention and found.retention.until > self.now:
            return error("403 Forbidden", "AccessDenied")
        self.versions[key] = [one for one in self.versions[key] if one.id != version]
        if not self.versions[key]:
            del self.versions[key]
        return reply("204 No Content")

    def _find(self, key: str, version: str, *, hidden: bool = False) -> Kept | None:
        for one in self.versions.get(key, []):
            if one.id == version or not version:
                return one if one.data is not None or hidden else None
        return None

    def _choose_default(self) -> ObjectRetention | None:
        if self.default is None or not self.keeps_locks:
            return None
        return ObjectRetention(self.default[0], self.now + self.default[1] * DAY)


def error(status: str, code: str) -> bytes:
    return reply(status, f"<Error><Code>{code}</Code></Error>".encode())


def xml(root: str, inside: str) -> bytes:
    return reply("200 OK", f"<{root}>{inside}</{root}>".encode())


def _describe(key: str, version: Kept, latest: bool) -> str:  # noqa: FBT001
    kind = "DeleteMarker" if version.data is None else "Version"
    size = "" if version.data is None else f"<Size>{len(version.data)}</Size>"
    tag = "" if version.data is None else f"<ETag>{hash(version.data)}</ETag>"
    return (
        f"<{kind}><Key>{key}</Key><VersionId>{version.id}</VersionId>"
        f"<IsLatest>{str(latest).lower()}</IsLatest>"
        f"<LastModified>2026-01-02T03:04:05.678Z</LastModified>{tag}{size}</{kind}>"
    )


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
def serve(bucket: LockedBucket) -> Iterator[str]:
    """Serve a bucket on loopback; yield the endpoint."""
    with Scripted(bucket.answer, persistent=True) as server:
        yield server.url
