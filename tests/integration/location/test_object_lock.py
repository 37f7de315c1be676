"""Object lock on Ceph's gateway: what is written there cannot be deleted (format §37)."""

import re
import shlex
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import ConfigurationError, PolicyError, StorageError
from airgap.transport.object_lock import Version, iterate_versions
from airgap.transport.port import TransientError
from airgap.transport.s3 import client
from airgap.transport.s3.options import Lock
from airgap.transport.s3.transport import S3Transport
from tests.servers import rgw
from tests.servers.proxy import Fault
from tests.servers.s3 import S3Server
from tests.support import stores
from tests.support.archive_site import ArchiveSite, make_archive_site

pytestmark = pytest.mark.servers

DAY = 24 * 3600
LARGE = 10 * 1024 * 1024
"""Bytes of a file that goes up in two parts."""


OPENED: list[S3Transport] = []


@pytest.fixture(autouse=True)
def close_transports() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with a bucket in which nothing is locked."""
    with rgw.serve(tmp_path_factory.mktemp("rgw")) as server:
        yield server


@pytest.fixture(scope="module")
def server(plain: S3Server) -> S3Server:
    """A bucket with object lock, where each writer has to ask for it."""
    return plain.make_locked_bucket("locked")


@pytest.fixture(scope="module")
def default(plain: S3Server) -> S3Server:
    """A bucket that locks for 30 days whatever is written."""
    return plain.make_locked_bucket("defaults", "COMPLIANCE")


def connect(
    server: S3Server, folder: str, lock: Lock | None = "compliance", days: int = 10
) -> S3Transport:
    retain_days = 0 if lock in (None, "bucket") else days
    options = server.options(folder, server.port)
    transport = S3Transport(replace(options, lock=lock, retain_days=retain_days))
    OPENED.append(transport)
    return transport


def list_versions(transport: S3Transport) -> list[Version]:
    return list(iterate_versions(transport.object_lock, ""))


def delete_version(server: S3Server, folder: str, version: Version) -> None:
    """Delete a version by a request that shares no code with airgap's."""
    server.ask("DELETE", {"versionId": version.id}, f"{folder}/{version.name}")


def expect_kept(server: S3Server, folder: str, data: bytes) -> None:
    """Check that the one version there cannot be deleted."""
    transport = connect(server, folder)
    (version,) = list_versions(transport)
    with pytest.raises(urllib.error.HTTPError) as refused:
        delete_version(server, folder, version)
    refused.value.close()
    assert refused.value.code == 403
    found = bytearray()
    assert transport.object_lock.get_version(version, found.extend) == len(data)
    assert found == data


@pytest.mark.parametrize("lock", ["compliance", "governance"])
def test_what_is_written_with_a_lock_cannot_be_deleted(server: S3Server, lock: Lock) -> None:
    transport = connect(server, lock, lock)

    assert transport.publish("file", b"1") is True

    retention = transport.object_lock.read_retention("file")
    assert retention
    assert retention.mode == lock.upper()
    assert abs(retention.until - time.time() - 10 * DAY) < 600
    expect_kept(server, lock, b"1")


@pytest.mark.parametrize("lock", ["compliance", "bucket"])
def test_an_upload_in_parts_is_locked(
    server: S3Server, default: S3Server, tmp_path: Path, lock: Lock
) -> None:
    """This gateway forgets the lock that such an upload asks for at its beginning."""
    bucket = default if lock == "bucket" else server
    (tmp_path / "source").write_bytes(data := stores.noise(LARGE))
    transport = connect(bucket, f"parts-{lock}", lock)

    assert transport.put("packs/file", tmp_path / "source", LARGE) == "stored"

    retention = transport.object_lock.read_retention("packs/file")
    assert retention
    assert retention.mode == "COMPLIANCE"
    expect_kept(bucket, f"parts-{lock}", data)


def test_an_upload_that_broke_leaves_nothing(server: S3Server, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(stores.noise(LARGE))
    with server.proxy() as proxy:
        proxy.faults.append(Fault("cut", "up", 4_000_000, times=20))
        transport = connect(replace(server, port=proxy.port), "broken")

        with pytest.raises(TransientError):
            transport.put("packs/file", tmp_path / "source", LARGE)

    assert server.unfinished() == []
    assert list_versions(connect(server, "broken")) == []


def test_a_bucket_locks_by_its_default(default: S3Server) -> None:
    transport = connect(default, "default", "bucket")

    assert transport.publish("file", b"1") is True

    retention = transport.object_lock.read_retention("file")
    assert retention
    assert abs(retention.until - time.time() - 30 * DAY) < 600
    assert transport.object_lock.read_period() == 30 * DAY
    expect_kept(default, "default", b"1")


def test_a_retention_is_extended_and_never_shortened(server: S3Server) -> None:
    transport = connect(server, "longer")
    transport.publish("file", b"1")
    later = int(time.time()) + 20 * DAY

    longer = transport.object_lock.retain("file", later)
    same = transport.object_lock.retain("file", later - 15 * DAY, "GOVERNANCE")

    assert longer == same == transport.object_lock.read_retention("file")
    assert (longer.mode, longer.until) == ("COMPLIANCE", later)


@pytest.mark.parametrize("lock", ["compliance", "governance", "bucket"])
def test_a_bucket_without_object_lock_is_named(plain: S3Server, lock: Lock) -> None:
    with pytest.raises(ConfigurationError, match="s3://depots/open has no object lock"):
        connect(plain, "open", lock).publish("file", b"1")

    assert plain.files("open") == {}


def test_a_bucket_without_a_default_is_named(server: S3Server) -> None:
    with pytest.raises(ConfigurationError, match="no default retention"):
        connect(server, "no-default", "bucket").publish("file", b"1")

    assert server.files("no-default") == {}


def test_the_same_bytes_are_not_written_again(server: S3Server) -> None:
    transport = connect(server, "again")
    transport.publish("file", b"1")

    assert transport.publish("file", b"2") is False
    assert transport.publish("file", b"1", replace=True) is True

    assert len(list_versions(transport)) == 1


def test_a_locked_file_is_not_deleted_and_its_date_is_named(server: S3Server) -> None:
    transport = connect(server, "kept")
    transport.publish("file", b"1")
    before = list_versions(transport)
    year = time.gmtime(time.time() + 10 * DAY).tm_year

    with pytest.raises(StorageError, match=rf"kept/file is locked until {year}-.*COMPLIANCE"):
        transport.delete("file")

    assert list_versions(transport) == before


def test_a_file_whose_lock_has_ended_is_deleted_with_all_versions(server: S3Server) -> None:
    server.plant("ended", "file", b"1")
    server.plant("ended", "file", b"2")
    server.ask("DELETE", {}, "ended/file")
    transport = connect(server, "ended")
    assert [version.size for version in list_versions(transport)] == [None, 1, 1]

    transport.delete("file")

    assert list_versions(transport) == []


def test_settings_are_read_back(plain: S3Server, server: S3Server, default: S3Server) -> None:
    settings = [connect(one, "x").object_lock.read_settings() for one in (plain, server, default)]

    assert [(one.enabled, one.versioning, one.default) for one in settings] == [
        (False, False, None),
        (True, True, None),
        (True, True, ("COMPLIANCE", 30)),
    ]


def test_versions_come_in_pages(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_KEYS", 3)
    transport = connect(server, "pages", None)
    for number in range(7):
        transport.publish(f"file{number // 2}", b"x" * number, replace=True)

    versions = list_versions(transport)

    assert [version.name[-1] for version in versions] == list("0011223")
    assert [version.size for version in versions] == [1, 0, 3, 2, 5, 4, 6]


@pytest.fixture
def archive(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[ArchiveSite, str]:
    """An archive ``@vault`` with one bundle, which was checked; and the bundle's id.

    The location's own options lock for one day.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.keys.identity)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.keys.secret)
    site = make_archive_site(tmp_path, approvers=0)
    options = (f"endpoint=http://127.0.0.1:{server.port}", "lock=compliance", "retain_days=1")
    words = [word for option in options for word in ("--option", option)]
    assert site.side.run("remote", "add", "vault", "s3://locked/ward", *words).code == 0
    bundle = site.add_whole(site.export("v1"), "@vault")
    assert site.run("check", "@vault", "--sign", site.key("ray")).code == 0
    return site, bundle


def test_what_is_signed_later_is_locked_as_long_as_its_bundle(
    server: S3Server, archive: tuple[ArchiveSite, str], tmp_path: Path
) -> None:
    """The location's own options lock for one day."""
    site, bundle = archive
    before = {version.id for version in list_versions(connect(server, "ward", None))}
    (tmp_path / "report.txt").write_text("clean")
    name = ("@vault", "--bundle", bundle, "--key")
    approved = site.side.run("approve", *name, site.key("dan"), "--intoto")
    assert approved.code == 0, approved.err
    assert site.side.run("sign", *name, site.key("mal")).code == 0
    attached = site.side.run("attach", f"@vault#{bundle}", tmp_path / "report.txt")
    assert attached.code == 0, attached.err

    transport = connect(server, "ward", None)
    added = [version for version in list_versions(transport) if version.id not in before]
    assert len(added) == 5
    for version in added:
        retention = transport.object_lock.read_retention(version.name)
        assert retention, version.name
        assert retention.until > time.time() + 3650 * DAY, version.name
        with pytest.raises(urllib.error.HTTPError) as refused:
            delete_version(server, "ward", version)
        refused.value.close()
    assert site.run("doctor", "@vault").code == 0


def test_an_archive_cannot_be_emptied_and_what_hides_it_is_named(
    server: S3Server, archive: tuple[ArchiveSite, str]
) -> None:
    """An attacker with the account's keys deletes each version, and then each name."""
    site, bundle = archive
    healthy = site.run("doctor", "@vault", "--json")
    assert healthy.code == 0, healthy.out
    transport = connect(server, "ward", None)
    versions = list_versions(transport)
    for version in versions:
        retention = transport.object_lock.read_retention(version.name)
        assert retention
        assert retention.mode == "COMPLIANCE"
        if "packs/" in version.name or bundle in version.name:
            assert retention.until > time.time() + 3650 * DAY

    for version in versions:
        with pytest.raises(urllib.error.HTTPError) as refused:
            delete_version(server, "ward", version)
        refused.value.close()
    for version in versions:
        if "packs/" in version.name or "manifest" in version.name:
            server.ask("DELETE", {}, f"ward/{version.name}")

    sick = site.run("doctor", "@vault", "--json")
    assert sick.code == ConfigurationError.exit_code
    told = " ".join(finding["hint"] for finding in sick.json["findings"])
    markers = [version for version in list_versions(transport) if version.size is None]
    assert re.findall(r"--key PREFIX/(\S+) --version-id (\S+)", told) == [
        (version.name, shlex.quote(version.id)) for version in markers[:3]
    ]
    for version in markers:
        server.ask("DELETE", {"versionId": version.id}, f"ward/{version.name}")
    assert site.run("doctor", "@vault").code == 0
    assert site.side.run("verify", "@vault").code == 0
    assert site.side.run("delete", f"@vault#{bundle}", "--yes").code == PolicyError.exit_code
    assert {one.id for one in list_versions(transport)} >= {one.id for one in versions}
