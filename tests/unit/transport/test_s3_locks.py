"""Locks of objects: what is asked for, what is read back, and what is refused (format §37)."""

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.carrier.depot import Depot
from airgap.errors import ConfigurationError, MissingError, StorageError, TransportError, UsageError
from airgap.flow.location.named_remotes import locate
from airgap.transport.object_lock import (
    LockSettings,
    ObjectLock,
    ObjectRetention,
    VersionPage,
    iterate_versions,
)
from airgap.transport.open_transport import Login, open_transport
from airgap.transport.port import TransientError
from airgap.transport.rate_limit import LimitedTransport, TokenBucket
from airgap.transport.retry import RetryingTransport, RetryPolicy
from airgap.transport.s3 import lock_answers
from airgap.transport.s3.bucket import PART_BYTES
from airgap.transport.s3.options import Lock, S3Keys, S3Options
from airgap.transport.s3.transport import S3Transport
from airgap.transport.url import parse
from tests.servers.fake_locked_s3 import BUCKET, DAY, LockedBucket, error, serve
from tests.servers.scripted import Request, Scripted, reply

KEYS = S3Keys("ID", "SECRET")
Connect = Callable[..., S3Transport]
DEFAULT = (
    b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    b"<DefaultRetention><Mode>COMPLIANCE</Mode>%s</DefaultRetention></Rule>"
    b"</ObjectLockConfiguration>"
)


@pytest.fixture
def bucket() -> LockedBucket:
    """A bucket in which each writer has to ask for a lock."""
    return LockedBucket(int(time.time()))


@pytest.fixture
def connect(bucket: LockedBucket) -> Iterator[Connect]:
    """Open the bucket with an option, and close it at the end."""
    opened: list[S3Transport] = []
    with serve(bucket) as endpoint:

        def open_with(lock: Lock | None = "compliance", **more: object) -> S3Transport:
            days = 10 if lock in ("compliance", "governance") else 0
            options = S3Options(
                BUCKET, "top", KEYS, endpoint, timeout=10, lock=lock, retain_days=days
            )
            opened.append(S3Transport(replace(options, **more)))  # type: ignore[arg-type]
            return opened[-1]

        yield open_with
        for transport in opened:
            transport.close()


def find(bucket: LockedBucket, name: str) -> ObjectRetention | None:
    return bucket.versions[f"top/{name}"][0].retention


@pytest.mark.parametrize("lock", ["compliance", "governance"])
def test_a_small_object_is_written_with_its_lock(
    bucket: LockedBucket, connect: Connect, lock: Lock
) -> None:
    assert connect(lock).publish("file", b"1") is True

    retention = find(bucket, "file")
    assert retention
    assert retention.mode == lock.upper()
    assert abs(retention.until - bucket.now - 10 * DAY) < 600
    assert not any("retention" in request for request in bucket.requests)


@pytest.mark.parametrize("size", [PART_BYTES, PART_BYTES + 1])
def test_a_lock_that_the_server_forgot_is_set(
    bucket: LockedBucket, connect: Connect, tmp_path: Path, size: int
) -> None:
    (tmp_path / "source").write_bytes(bytes(size))

    connect().put("packs/file", tmp_path / "source", size)

    assert find(bucket, "packs/file")
    assert ("PUT top/packs/file?retention" in bucket.requests) is (size > PART_BYTES)


def test_a_server_that_keeps_no_locks_is_not_believed(
    bucket: LockedBucket, connect: Connect
) -> None:
    bucket.keeps_locks = False

    with pytest.raises(StorageError, match="the server locks it not at all"):
        connect().publish("file", b"1")


def test_an_account_that_is_shown_no_locks_asks_for_them(
    bucket: LockedBucket, connect: Connect
) -> None:
    bucket.shows_locks = False

    assert connect().publish("file", b"1") is True

    assert "GET top/file?retention" in bucket.requests
    assert "PUT top/file?retention" not in bucket.requests


def test_the_default_of_a_bucket_is_asked_for_once(bucket: LockedBucket, connect: Connect) -> None:
    bucket.default = ("GOVERNANCE", 30)
    transport = connect("bucket")

    transport.publish("one", b"1")
    other = transport.clone()
    other.publish("two", b"2")
    other.close()

    assert bucket.requests.count("GET ?object-lock") == 1
    assert transport.object_lock.read_period() == 30 * DAY


@pytest.mark.parametrize(
    ("lock", "enabled", "says"),
    [
        ("compliance", False, "no object lock"),
        ("bucket", False, "no object lock"),
        ("bucket", True, "no default retention"),
    ],
)
def test_nothing_is_written_to_a_bucket_that_cannot_do_it(
    bucket: LockedBucket,
    connect: Connect,
    lock: Lock,
    enabled: bool,  # noqa: FBT001
    says: str,
) -> None:
    bucket.enabled = enabled

    with pytest.raises(ConfigurationError, match=says):
        connect(lock).publish("file", b"1")

    assert bucket.versions == {}


def test_without_the_option_nothing_is_asked(bucket: LockedBucket, connect: Connect) -> None:
    transport = connect(None)

    transport.publish("file", b"1")

    assert transport.object_lock.read_period() is None
    assert not any(
        "object-lock" in request or "retention" in request for request in bucket.requests
    )
    assert find(bucket, "file") is None


def test_the_same_bytes_are_not_written_again_and_others_become_a_version(
    bucket: LockedBucket, connect: Connect
) -> None:
    transport = connect()
    transport.publish("file", b"1")

    assert transport.publish("file", b"1", replace=True) is True
    assert len(bucket.versions["top/file"]) == 1
    assert transport.publish("file", b"2", replace=True) is True

    assert [version.data for version in bucket.versions["top/file"]] == [b"2", b"1"]
    assert not transport.capabilities.creates_exclusively


def test_a_lock_is_extended_and_never_shortened_or_weakened(
    bucket: LockedBucket, connect: Connect
) -> None:
    transport = connect()
    transport.publish("file", b"1")
    later = bucket.now + 20 * DAY

    longer = transport.object_lock.retain("file", later)
    same = transport.object_lock.retain("file", later - DAY, "GOVERNANCE")

    assert longer == same == find(bucket, "file") == ObjectRetention("COMPLIANCE", later)


@pytest.mark.parametrize("default", [None, ("GOVERNANCE", 3)])
def test_without_the_option_the_mode_is_the_buckets(
    bucket: LockedBucket, connect: Connect, default: tuple[str, int] | None
) -> None:
    bucket.default = default  # type: ignore[assignment]
    bucket.plant("top/file", b"1")

    retention = connect(None).object_lock.retain("file", bucket.now + DAY)

    assert retention.mode == (default[0] if default else "COMPLIANCE")


def test_no_lock_can_be_set_in_a_bucket_without(bucket: LockedBucket, connect: Connect) -> None:
    bucket.enabled = False
    bucket.plant("top/file", b"1")

    with pytest.raises(ConfigurationError, match="no object lock"):
        connect(None).object_lock.retain("file", bucket.now + DAY)


def test_a_server_that_does_not_extend_a_lock_is_not_believed(
    bucket: LockedBucket, connect: Connect
) -> None:
    transport = connect()
    transport.publish("file", b"1")
    bucket.keeps_locks = False

    with pytest.raises(StorageError, match="the server locks it only until"):
        transport.object_lock.retain("file", bucket.now + 20 * DAY)


def test_what_is_locked_is_not_deleted_with_any_of_its_versions(
    bucket: LockedBucket, connect: Connect
) -> None:
    transport = connect()
    bucket.plant("top/file", b"0")
    bucket.plant("top/file", b"1", ObjectRetention("COMPLIANCE", bucket.now + DAY))
    bucket.plant("top/file", None)

    with pytest.raises(StorageError, match=r"top/file is locked until \d{4}-.*\(COMPLIANCE\)"):
        transport.delete("file")

    assert len(bucket.versions["top/file"]) == 3
    assert not any(request.startswith("DELETE") for request in bucket.requests)


def test_what_is_no_longer_locked_is_deleted_by_its_versions(
    bucket: LockedBucket, connect: Connect
) -> None:
    bucket.plant("top/file", b"0", ObjectRetention("COMPLIANCE", bucket.now - 1))
    bucket.plant("top/file", None)
    bucket.plant("top/file2", b"0")

    connect().delete("file")

    assert list(bucket.versions) == ["top/file2"]
    deletes = [request for request in bucket.requests if request.startswith("DELETE")]
    assert deletes == ["DELETE top/file?versionId"] * 2


def test_a_hidden_object_says_so(connect: Connect, bucket: LockedBucket) -> None:
    bucket.plant("top/file", b"0")
    bucket.plant("top/file", None)

    with pytest.raises(MissingError):
        connect().object_lock.read_retention("file")


def test_versions_are_listed_page_by_page(bucket: LockedBucket, connect: Connect) -> None:
    bucket.page = 2
    for number in range(5):
        bucket.plant("top/file", b"x" * number)
    bucket.plant("top/../escape", b"")
    bucket.plant("other/file", b"")

    versions = list(iterate_versions(connect(None).object_lock, ""))

    assert [version.size for version in versions] == [4, 3, 2, 1, 0]
    assert [version.is_latest for version in versions] == [True, False, False, False, False]


def test_a_version_is_read_by_its_id(bucket: LockedBucket, connect: Connect) -> None:
    old = bucket.plant("top/file", b"old")
    bucket.plant("top/file", b"new")
    lock = connect(None).object_lock
    found = bytearray()
    (version,) = [one for one in iterate_versions(lock, "file") if one.id == old.id]

    assert lock.get_version(version, found.extend) == 3
    assert lock.get_version(version, found.extend, 3) == 0

    assert found == b"old"


@pytest.mark.parametrize("checksums", [True, False])
def test_a_locked_body_has_the_checksum_that_s3_demands(checksums: bool) -> None:  # noqa: FBT001
    seen: list[Request] = []
    bucket = LockedBucket(int(time.time()))

    def answer(request: Request) -> bytes:
        seen.append(request)
        return bucket.answer(request)

    with Scripted(answer, persistent=True) as server:
        options = S3Options(
            BUCKET, "top", KEYS, server.url, lock="compliance", retain_days=1, checksums=checksums
        )
        transport = S3Transport(options)
        transport.publish("file", b"1")
        transport.close()

    (sent,) = [request.headers for request in seen if request.method == "PUT"]
    name = "x-amz-checksum-sha256" if checksums else "content-md5"
    digest = hashlib.sha256(b"1") if checksums else hashlib.md5(b"1", usedforsecurity=False)
    assert sent[name] == b64encode(digest.digest()).decode()
    signed = sent["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {name, "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"} <= {*signed}


@pytest.mark.parametrize("wrap", ["retrying", "limited"])
def test_locks_are_reached_through_retries_and_limits(
    bucket: LockedBucket, connect: Connect, wrap: str
) -> None:
    inner = connect()
    transport = (
        RetryingTransport(inner, RetryPolicy())
        if wrap == "retrying"
        else LimitedTransport(inner, TokenBucket(1e9))
    )
    lock: ObjectLock | None = transport.object_lock
    assert lock is not None
    bucket.plant("top/file", b"12")
    found = bytearray()
    (version,) = iterate_versions(lock, "")

    assert lock.read_settings() == LockSettings(enabled=True, versioning=True)
    assert lock.read_period() == 10 * DAY
    assert lock.read_retention("file") is None
    assert lock.get_version(version, found.extend) == 2
    assert lock.retain("file", bucket.now - 1).until == bucket.now - 1
    lock.remove("file")
    assert found == b"12"
    assert bucket.versions == {}


def test_what_keeps_no_versions_has_no_locks(tmp_path: Path) -> None:
    folder = open_transport(parse(f"file://{tmp_path}"), Login(), {})

    assert RetryingTransport(folder, RetryPolicy()).object_lock is None


def test_a_listing_without_an_end_is_given_up() -> None:
    class Endless:
        count = 0

        def list_versions(self, _: str, __: tuple[str, str] | None = None) -> VersionPage:
            self.count += 1
            return VersionPage((), (str(self.count), ""))

    with pytest.raises(TransportError, match="does not end"):
        list(iterate_versions(Endless(), ""))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lock": "compliance"}, "needs retain_days"),
        ({"lock": "governance", "retain_days": "36501"}, "needs retain_days"),
        ({"lock": "bucket", "retain_days": "1"}, "no lock that it could"),
        ({"retain_days": "1"}, "no lock that it could"),
        ({"lock": "compliance", "retain_days": "ten"}, "not a number of days"),
        ({"lock": "compliance", "retain_days": "-1"}, "not a number of days"),
        ({"lock": "yes"}, "lock cannot be"),
    ],
)
def test_options_that_lock_nothing_are_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_transport(parse("s3://bucket/x"), Login("ID", "KEY"), options)


def test_options_of_a_lock_are_taken() -> None:
    options = {"lock": "governance", "retain_days": "3650"}

    transport = open_transport(parse("s3://bucket/x"), Login("ID", "KEY"), options)

    assert not transport.capabilities.creates_exclusively


@pytest.mark.parametrize("option", ["lock=compliance", "retain_days=36500"])
def test_a_url_does_not_lock(option: str) -> None:
    with pytest.raises(UsageError, match="files that nobody can delete"):
        locate(f"s3://bucket/folder?{option}")


@pytest.mark.parametrize(
    ("parser", "body"),
    [
        (lock_answers.parse_lock_settings, b"<Other/>"),
        (lock_answers.parse_versioning, b"<Other><Status>Enabled</Status></Other>"),
        (lock_answers.parse_retention, b"<Retention><Mode>WEAK</Mode></Retention>"),
        (lock_answers.parse_retention, b"<Retention><Mode>COMPLIANCE</Mode></Retention>"),
        (lock_answers.parse_retention, b"<Other/>"),
        (lock_answers.parse_versions, b"<Other/>"),
        (
            lock_answers.parse_versions,
            b"<ListVersionsResult><Version><Key>a</Key></Version></ListVersionsResult>",
        ),
        (
            lock_answers.parse_versions,
            b"<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>",
        ),
        (
            lock_answers.parse_lock_settings,
            DEFAULT % b"<Days>many</Days>",
        ),
    ],
)
def test_other_answers_are_refused(parser: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not |goes on nowhere|argument"):
        parser(body)


def test_years_are_days() -> None:
    settings = lock_answers.parse_lock_settings(DEFAULT % b"<Years>10</Years>")

    assert settings == (True, ("COMPLIANCE", 3650))


def test_a_retention_is_written_and_read() -> None:
    retention = ObjectRetention("COMPLIANCE", 2_000_000_000)

    assert lock_answers.parse_retention(lock_answers.encode_retention(retention)) == retention
    assert lock_answers.parse_retention(b"<Retention/>") is None


def test_a_server_that_does_not_speak_of_locks_is_named() -> None:
    with Scripted(lambda _: reply("200 OK", b"hello")) as server:
        transport = S3Transport(S3Options(BUCKET, "", KEYS, server.url))
        with pytest.raises(TransportError, match="does not answer as an S3 server"):
            transport.object_lock.read_settings()
        with pytest.raises(TransportError, match="does not answer as an S3 server"):
            transport.object_lock.list_versions("")
        transport.close()


@pytest.fixture
def answering() -> Iterator[Callable[[str, str], Depot]]:
    """Open a depot on a server that gives one answer to everything."""
    with ExitStack() as stack:

        def open_depot(status: str, code: str) -> Depot:
            server = stack.enter_context(Scripted(lambda _: error(status, code)))
            depot = Depot(S3Transport(S3Options(BUCKET, "", KEYS, server.url)))
            return stack.enter_context(closing(depot))

        yield open_depot


@pytest.mark.parametrize(
    ("status", "code"), [("403 Forbidden", "AccessDenied"), ("501 Not Implemented", "Unknown")]
)
def test_a_server_that_does_not_say_has_no_locks(
    answering: Callable[[str, str], Depot], status: str, code: str
) -> None:
    assert answering(status, code).find_lock() is None


def test_a_server_that_fails_to_say_is_not_taken_for_one_without_locks(
    answering: Callable[[str, str], Depot],
) -> None:
    with pytest.raises(TransientError):
        answering("503 Slow Down", "SlowDown").find_lock()
