"""A depot in a bucket with object lock: kept for as long as it says, and nothing wasted (§37)."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from airgap.carrier.depot import Depot
from airgap.errors import MissingError, StorageError, TransportError
from airgap.flow.publishing import publish
from airgap.format.manifest import Pack
from airgap.transport.object_lock import ObjectRetention
from tests.servers.fake_locked_s3 import BUCKET, DAY, LockedBucket, serve
from tests.support import refusals, store_invariants, stores
from tests.support.sides import Side, Site

FAR = 3650


@pytest.fixture
def bucket(small: Side, isolated: Side, monkeypatch: pytest.MonkeyPatch) -> Iterator[LockedBucket]:
    """A bucket that both sides know as ``@vault``; the exporter locks what it writes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    made = LockedBucket(int(time.time()))
    with serve(made) as endpoint:
        for side, options in (
            (small, ("lock=compliance", f"retain_days={FAR}")),
            (isolated, ()),
        ):
            words = [word for option in options for word in ("--option", option)]
            url = f"s3://{BUCKET}/depot"
            ran = side.run(
                "remote", "add", "vault", url, "--option", f"endpoint={endpoint}", *words
            )
            assert ran.code == 0, ran.err
        yield made


def export(side: Side, site: Site, tag: str = "shop:v1") -> str:
    ran = side.run("push", tag, "@vault", "--key", site.key(), "--json")
    assert ran.code == 0, ran.err
    bundle: str = ran.json["bundle"]
    return bundle


def copy(bucket: LockedBucket) -> dict[str, list[tuple[str, ObjectRetention | None]]]:
    return {
        key: [(version.id, version.retention) for version in versions]
        for key, versions in bucket.versions.items()
    }


def end_locks(bucket: LockedBucket, days: int = 2) -> None:
    """Let all locks have ended so many days ago."""
    for versions in bucket.versions.values():
        for version in versions:
            version.retention = ObjectRetention("COMPLIANCE", bucket.now - days * DAY)


def packs(bucket: LockedBucket) -> list[str]:
    return [key for key in bucket.versions if "/packs/" in key]


def test_every_file_is_written_once_and_locked(
    small: Side, isolated: Side, site: Site, bucket: LockedBucket
) -> None:
    export(small, site)

    for key, versions in bucket.versions.items():
        assert len(versions) == 1, key
        assert versions[0].retention, key
        assert versions[0].retention.until > bucket.now + (FAR - 1) * DAY
    assert not any(".part" in key or "/gc/" in key for key in bucket.versions)
    ran = isolated.run("import", "@vault")
    assert ran.code == 0, ran.err
    assert store_invariants.items(isolated) == store_invariants.items(small)


def test_a_pack_that_a_later_bundle_shares_is_locked_anew(
    small: Side, site: Site, bucket: LockedBucket
) -> None:
    export(small, site)
    before = packs(bucket)
    for versions in bucket.versions.values():
        versions[0].retention = ObjectRetention("COMPLIANCE", bucket.now + DAY)
    stores.add_bento(small, "shop:v2", {"src/x": b"2"}, models=["ranker:v1"])

    export(small, site, "shop:v2")

    ends = [bucket.versions[key][0].retention for key in before]
    extended = [end for end in ends if end and end.until > bucket.now + (FAR - 1) * DAY]
    assert extended
    assert all(len(versions) == 1 for versions in bucket.versions.values())


def test_a_locked_bundle_is_not_deleted_and_the_date_is_named(
    small: Side, site: Site, bucket: LockedBucket
) -> None:
    bundle = export(small, site)
    before = copy(bucket)
    year = time.gmtime(bucket.now + FAR * DAY).tm_year

    ran = refusals.expect_refusal(small, "delete", f"@vault#{bundle}", "--yes", error=StorageError)

    assert f"is locked until {year}-" in ran.json["error"]["message"]
    assert copy(bucket) == before


@pytest.mark.parametrize("words", [(), ("--older-than", "0"), ("--dry-run",)])
def test_garbage_is_not_collected_while_it_is_locked(
    small: Side, site: Site, bucket: LockedBucket, words: tuple[str, ...]
) -> None:
    export(small, site)
    key = "depot/packs/00/" + "0" * 64 + ".pack"
    bucket.plant(key, b"x", ObjectRetention("GOVERNANCE", bucket.now + DAY))
    before = copy(bucket)

    ran = refusals.expect_refusal(small, "gc", "@vault", *words, error=StorageError)

    assert "1 file that no bundle needs is kept" in ran.json["error"]["message"]
    assert copy(bucket) == before


def test_after_its_end_a_bundle_and_its_packs_go_with_all_versions(
    small: Side, site: Site, bucket: LockedBucket
) -> None:
    bundle = export(small, site)
    end_locks(bucket)
    bucket.plant(packs(bucket)[0], b"x")
    kept = "depot/packs/00/" + "0" * 64 + ".pack"
    bucket.plant(kept, b"never locked")

    assert small.run("delete", f"@vault#{bundle}", "--yes").code == 0
    assert not any(bundle in key for key in bucket.versions)
    assert not any("/gc/" in key for key in bucket.versions)
    end_locks(bucket)
    bucket.versions[kept][0].retention = None
    first = small.run("gc", "@vault", "--older-than", "7d", "--json")
    assert first.code == StorageError.exit_code
    ran = small.run("gc", "@vault", "--json")

    assert ran.code == 0, ran.err
    assert packs(bucket) == [kept]
    assert list(ran.json["marked"]) == [kept.removeprefix("depot/")]
    assert not any("/gc/" in key for key in bucket.versions)


@pytest.mark.parametrize("hides", [b"evil", None])
def test_a_pack_that_somebody_hid_is_read_from_its_older_version(
    small: Side, isolated: Side, site: Site, bucket: LockedBucket, hides: bytes | None
) -> None:
    export(small, site)
    for key in packs(bucket):
        size = len(bucket.versions[key][0].data or b"")
        bucket.plant(key, b"\0" * size)
        bucket.plant(key, hides)

    ran = isolated.run("import", "@vault")

    assert ran.code == 0, ran.err
    assert store_invariants.items(isolated) == store_invariants.items(small)


def test_a_pack_without_any_right_version_is_refused(
    small: Side, isolated: Side, site: Site, bucket: LockedBucket
) -> None:
    export(small, site)
    for key in packs(bucket):
        bucket.versions[key][0].data = b"\0" * len(bucket.versions[key][0].data or b"")
        bucket.plant(key, None)

    refusals.expect_refusal(isolated, "import", "@vault", error=MissingError, staging=True)


def test_a_pack_that_went_while_a_bundle_was_published_is_written_again(
    small: Side, isolated: Side, site: Site, bucket: LockedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(small, site)
    end_locks(bucket)
    ended = ObjectRetention("COMPLIANCE", bucket.now - 2 * DAY)
    stores.add_bento(small, "shop:v2", {"src/x": b"2"}, models=["ranker:v1"])
    count = publish._count_missing
    removed: list[str] = []

    def collect_meanwhile(depot: Depot, needed: Sequence[Pack]) -> int:
        missing = count(depot, needed)
        for key in packs(bucket):
            if bucket.versions[key][0].retention == ended:
                removed.append(key)
                del bucket.versions[key]
        return missing

    monkeypatch.setattr(publish, "_count_missing", collect_meanwhile)
    export(small, site, "shop:v2")

    assert removed
    assert isolated.run("import", "@vault").code == 0


def test_what_is_copied_signed_and_attached_is_locked_once(
    small: Side, isolated: Side, site: Site, bucket: LockedBucket, tmp_path: Path
) -> None:
    ran = small.run("export", "shop:v1", "-o", tmp_path / "depot", "--key", site.key())
    assert ran.code == 0, ran.err
    (tmp_path / "scan.txt").write_text("nothing found\n")

    for _ in range(2):
        for words in (
            ("copy", tmp_path / "depot", "@vault"),
            ("attach", "@vault", tmp_path / "scan.txt"),
            ("sign", "@vault", "--key", site.key()),
        ):
            ran = small.run(*words)
            assert ran.code == 0, ran.err

    for key, versions in bucket.versions.items():
        assert len(versions) == 1, key
        assert versions[0].retention, key
    assert any(key.endswith(".findings") for key in bucket.versions)
    assert isolated.run("verify", "@vault").code == 0


def test_a_server_that_damages_what_it_locks_is_named(
    small: Side, site: Site, bucket: LockedBucket
) -> None:
    bucket.damages = True

    ran = small.run(
        *("export", "shop:v1", "-o", "@vault", "--key", site.key()),
        *("--verify-after-write", "--json"),
    )

    assert ran.code == TransportError.exit_code
    assert "is not what was written there" in ran.json["error"]["message"]
    assert not any("manifest" in key for key in bucket.versions)
