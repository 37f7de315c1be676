"""``airgap archive doctor``: what protects an archive is read back, and what to do is said."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airgap.disk.protection import Protection, inspect_protection
from airgap.errors import ConfigurationError, MissingError, UsageError
from airgap.flow.archive.doctor.folder import report_folder
from airgap.flow.archive.doctor.locks import LockedFile, report_locks
from airgap.format.stamp_files import stamp_file
from airgap.sealing import identity_files
from airgap.transport.object_lock import ObjectRetention
from airgap.version import __version__
from tests.servers.fake_locked_s3 import BUCKET, DAY, LockedBucket, serve
from tests.servers.scripted import Request, Scripted, reply
from tests.support import refusals
from tests.support.archive_site import ArchiveSite, clock_at, make_archive_site
from tests.support.sealing import make_sealed_site
from tests.support.sides import Ran
from tests.support.signers import person
from tests.support.stamp_authority import YEAR, StampAuthority

TEN_YEARS = 3652


@pytest.fixture
def site(tmp_path: Path) -> ArchiveSite:
    return make_archive_site(tmp_path)


@pytest.fixture
def bucket(site: ArchiveSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[LockedBucket]:
    """A bucket with object lock, ``@vault``, in which airgap locks for ten years."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    made = LockedBucket(int(time.time()))
    options = ("lock=compliance", f"retain_days={TEN_YEARS}")
    with serve(made) as endpoint:
        words = [word for option in options for word in ("--option", option)]
        ran = site.side.run(
            *("remote", "add", "vault", f"s3://{BUCKET}/ward"),
            *("--option", f"endpoint={endpoint}", *words),
        )
        assert ran.code == 0, ran.err
        yield made


def find(ran: Ran, level: str, about: str = "") -> list[str]:
    """The findings of a level: message and hint."""
    findings: list[dict[str, Any]] = ran.json["findings"]
    return [
        f"{finding['message']} {finding['hint']}"
        for finding in findings
        if finding["level"] == level and about in ("", finding["about"])
    ]


def examine(site: ArchiveSite, where: str | Path, *words: str | Path, code: int = 0) -> Ran:
    ran = site.run("doctor", where, "--json", *words)
    assert ran.code == code, ran.out
    return ran


def keys(bucket: LockedBucket, part: str) -> list[str]:
    return sorted(key for key in bucket.versions if part in key)


def test_an_archive_that_is_locked_as_its_records_demand_is_in_order(
    site: ArchiveSite, bucket: LockedBucket
) -> None:
    site.add_whole(site.export("v1"), "@vault")

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    assert find(ran, "problem") == find(ran, "problem", "checks")  # it was never checked
    assert any("All" in text and "locked as long" in text for text in find(ran, "ok", "locks"))
    assert find(ran, "ok", "versions")
    assert all(len(versions) == 1 for versions in bucket.versions.values())
    assert not keys(bucket, ".part")


def test_what_is_added_is_locked_as_long_as_its_class_says(
    site: ArchiveSite, bucket: LockedBucket
) -> None:
    """Also where the location's own options lock for a shorter time."""
    endpoint = site.side.run("remote", "list", "--json").json["remotes"][0]["settings"]["endpoint"]
    words = ("--option", f"endpoint={endpoint}", "--option", "lock=compliance")
    url = f"s3://{BUCKET}/ward"
    site.side.run("remote", "add", "short", url, *words, "--option", "retain_days=1")

    site.add_whole(site.export("v1"), "@short")

    for key, versions in bucket.versions.items():
        retention = versions[0].retention
        assert retention, key
        if key not in ("ward/README.txt", "ward/verify.py"):
            assert retention.until > bucket.now + (TEN_YEARS - 3) * DAY, key


def test_what_is_held_checked_and_renewed_is_locked_as_well(
    site: ArchiveSite, bucket: LockedBucket
) -> None:
    """A hold, a stamp and an index are there as long as the bundle: not only a day."""
    endpoint = site.side.run("remote", "list", "--json").json["remotes"][0]["settings"]["endpoint"]
    words = ("--option", f"endpoint={endpoint}", "--option", "lock=compliance")
    url = f"s3://{BUCKET}/ward"
    site.side.run("remote", "add", "short", url, *words, "--option", "retain_days=1")
    bundle = site.add_whole(site.export("v1"), "@short")
    old = StampAuthority("Old", end=int(time.time()) + 100 * DAY, years=120)
    new = StampAuthority("New", end=100 * YEAR, years=120)
    (site.top / "old.pem").write_bytes(old.pem)
    (site.top / "new.pem").write_bytes(new.pem)
    with serve_stamps(old) as tsa:
        certificate = ("--certificate", site.top / "old.pem")
        ran = site.side.run("timestamp", f"@short#{bundle}", "--tsa", tsa.url, *certificate)
        assert ran.code == 0, ran.err
    reason = ("--reason", "case 7", "--key", site.key("ray"))
    assert site.run("hold", f"@short#{bundle}", *reason).code == 0
    parts = [site.top / f"{number}.json" for number in (1, 2)]
    for number, path in enumerate(parts, 1):
        shard = ("--shard", f"{number}/2", "--sign", site.key("ray"), "-o", path)
        ran = site.run("check", "@short", *shard)
        assert ran.code == 0, ran.err
    merged = site.run("merge", *parts, "--archive", "@short", "--sign", site.key("ray"))
    assert merged.code == 0, merged.err
    with serve_stamps(new) as tsa:
        certificate = ("--certificate", site.top / "new.pem")
        options = (*certificate, "--hash", "sha512", "--json")
        renewed = site.run("renew", "@short", "--tsa", tsa.url, *options)
    assert (renewed.code, len(renewed.json["added"])) == (0, 2), renewed.err

    kept = {k: v[0].retention for k, v in bucket.versions.items() if "/checks/" not in k}
    early = {
        key.removeprefix("ward/")
        for key, retention in kept.items()
        if not retention or retention.until < bucket.now + (TEN_YEARS - 3) * DAY
    }
    assert early == {"README.txt", "verify.py"}


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_is_signed_and_attached_later_is_locked_as_long_as_its_bundle(
    site: ArchiveSite, bucket: LockedBucket, *, interrupted: bool
) -> None:
    """The option of the location says a day; a writer that was killed is run again."""
    endpoint = site.side.run("remote", "list", "--json").json["remotes"][0]["settings"]["endpoint"]
    words = ("--option", f"endpoint={endpoint}", "--option", "lock=compliance")
    url = f"s3://{BUCKET}/ward"
    site.side.run("remote", "add", "short", url, *words, "--option", "retain_days=1")
    bundle = site.add_whole(site.export("v1"), "@short")
    before = set(bucket.versions)
    report = site.top / "report.json"
    report.write_text("{}")
    name = ("@short", "--bundle", bundle)
    commands: list[tuple[str | Path, ...]] = [
        ("approve", *name, "--intoto", "--key", site.key("dan")),
        ("sign", *name, "--key", site.key("mal")),
        ("attach", f"@short#{bundle}", report, "--bundle", bundle),
    ]
    statement = ("--role", "approver", "--findings", report, "--key", site.key("eve"))
    assert site.side.run("attest", *name, *statement).code == 0
    for command in commands:
        assert site.side.run(*command).code == 0, command
    added = [key for key in bucket.versions if key not in before]
    assert len(added) == 8, added
    if interrupted:  # after the file was written, and before it was locked as long as the bundle
        added = [key for key in added if person("eve").key.id not in key]
        for key in added:
            bucket.versions[key][0].retention = ObjectRetention("COMPLIANCE", bucket.now + DAY)
        for command in commands:
            assert site.side.run(*command).code == 0, command

    for key in added:
        retention = bucket.versions[key][0].retention
        assert retention, key
        assert retention.until > bucket.now + (TEN_YEARS - 3) * DAY, key
    kept = {key: versions for key, versions in bucket.versions.items() if key in before}
    assert all(len(versions) == 1 for versions in kept.values())  # nothing was written again


def serve_stamps(authority: StampAuthority) -> Scripted:
    def answer(request: Request) -> bytes:
        stamp = authority.answer(request.body, time.time() - 60)
        return reply("200 OK", stamp, Content_Type="application/timestamp-reply")

    return Scripted(answer)


def test_a_lock_that_is_missing_or_too_short_is_named_and_mended(
    site: ArchiveSite, bucket: LockedBucket
) -> None:
    site.add_whole(site.export("v1"), "@vault")
    packs, evidence = keys(bucket, "/packs/"), keys(bucket, "/evidence/")
    bucket.versions[packs[0]][0].retention = None
    short = ObjectRetention("COMPLIANCE", bucket.now + 30 * DAY)
    for key in evidence:
        bucket.versions[key][0].retention = short

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)
    told = find(ran, "problem", "locks")
    assert len(told) == 2
    assert "1 file that the archive must keep is not locked: packs/" in told[0]
    assert f"{len(evidence)} files are locked for less time" in told[1]
    assert all("airgap archive doctor @vault --lock" in text for text in told)

    mended = examine(site, "@vault", "--lock", code=ConfigurationError.exit_code)
    assert find(mended, "problem", "locks") == []
    assert mended.json["locked"] > len(evidence)
    for key in (*packs, *evidence):
        found = bucket.versions[key][0].retention
        assert found
        assert found.until >= bucket.now + (TEN_YEARS - 3) * DAY


@pytest.mark.parametrize("name", ["x;touch hacked;", "$(touch hacked)", "`touch hacked`", "'"])
def test_a_command_runs_no_other_because_of_a_name_in_the_bucket(
    site: ArchiveSite, bucket: LockedBucket, name: str, tmp_path: Path
) -> None:
    site.add_whole(site.export("v1"), "@vault")
    key = keys(bucket, "checksums.txt")[0].replace("checksums.txt", name)
    bucket.plant(key, b"one")
    bucket.plant(key, b"two")
    other = f"{key}2"
    bucket.plant(other, b"one")
    bucket.plant(other, None)

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    hints = [one["hint"] for one in ran.json["findings"] if "aws s3api" in one["hint"]]
    commands = [hint[hint.index("aws s3api") :] for hint in hints]
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", f'aws() {{ echo "$#"; }}; {command}'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.strip() == "8"
    assert not (tmp_path / "hacked").exists()


def test_what_is_hidden_or_overwritten_is_named_with_the_way_back(
    site: ArchiveSite, bucket: LockedBucket
) -> None:
    site.add_whole(site.export("v1"), "@vault")
    manifest, pack = keys(bucket, "manifest.msgpack")[0], keys(bucket, "/packs/")[0]
    record = keys(bucket, "/records/")[0]
    old = bucket.versions[pack][0]
    marker = bucket.plant(keys(bucket, "checksums.txt")[0], None)
    bucket.plant(pack, b"evil")
    bucket.plant(record, bucket.versions[record][0].data)

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    told = "\n".join(find(ran, "problem", "versions"))
    assert "checksums.txt is hidden by a delete marker" in told
    assert f"--version-id {marker.id}" in told
    assert "2 versions with different bytes" in told
    assert f"versionId={old.id}" in told
    assert "1 file has several versions with the same bytes" in find(ran, "note", "versions")[0]
    assert manifest not in told


def test_a_hidden_manifest_is_missed(site: ArchiveSite, bucket: LockedBucket) -> None:
    bundle = site.add_whole(site.export("v1"), "@vault")
    bucket.plant(keys(bucket, f"bundles/{bundle}/manifest.msgpack")[0], None)

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    assert f"Bundle {bundle} must be kept, and its manifest is not" in find(ran, "problem")[0]
    assert any("manifest.msgpack is hidden" in text for text in find(ran, "problem", "versions"))


@pytest.mark.parametrize("enabled", [True, False])
def test_how_the_bucket_is_set_up_is_told(
    site: ArchiveSite, bucket: LockedBucket, *, enabled: bool
) -> None:
    site.add_whole(site.export("v1"), "@vault")
    bucket.enabled = enabled
    bucket.default = ("GOVERNANCE", 30)

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    if enabled:
        assert "locks what is written for 30 days (GOVERNANCE)" in find(ran, "note", "bucket")[0]
    else:
        assert "has no object lock" in find(ran, "problem", "bucket")[0]


def test_a_sample_says_that_it_is_one(site: ArchiveSite, bucket: LockedBucket) -> None:
    site.add_whole(site.export("v1"), "@vault")
    count = len(bucket.versions)
    bucket.requests.clear()

    ran = examine(site, "@vault", "--sample", "20%", code=ConfigurationError.exit_code)

    asked = [request for request in bucket.requests if request.startswith("HEAD")]
    assert f"{-(-count // 5)} of {count} files" in find(ran, "note", "locks")[0]
    assert len(asked) < count


@pytest.mark.parametrize("text", ["0%", "101%", "5", "x%"])
def test_a_sample_is_a_percentage(site: ArchiveSite, text: str) -> None:
    site.add_whole(site.export("v1"), site.archive)

    refusals.expect_refusal(
        site.side, "archive", "doctor", site.archive, "--sample", text, error=UsageError
    )


def test_what_is_no_archive_is_refused(site: ArchiveSite, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    refusals.expect_refusal(site.side, "archive", "doctor", tmp_path / "empty", error=MissingError)


def test_a_folder_is_said_to_be_no_lock(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive)
    os.chmod(site.archive / "README.txt", 0o666)  # noqa: PTH101, S103

    ran = examine(site, site.archive, code=ConfigurationError.exit_code)

    told = "\n".join(find(ran, "note", "folder"))
    assert "a person with root can change it" in told
    assert "Other users can write to 1 file" in told
    assert find(ran, "note", "parity")
    assert find(ran, "ok", "records")
    people = site.run("doctor", site.archive)
    assert people.code == ConfigurationError.exit_code
    assert "1 problem" in people.out


def test_programs_of_this_version_are_looked_for(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive)
    folder = site.archive / "archive/software"
    for path in folder.iterdir():
        path.unlink()
    none = examine(site, site.archive, code=ConfigurationError.exit_code)
    (folder / f"{'0' * 16}.bento_airgap-0.0.1-py3-none-any.whl").write_bytes(b"")
    old = examine(site, site.archive, code=ConfigurationError.exit_code)
    (folder / f"{'0' * 16}.bento_airgap-{__version__}-py3-none-any.whl").write_bytes(b"")
    new = examine(site, site.archive, code=ConfigurationError.exit_code)

    assert "holds no program" in find(none, "note", "software")[0]
    assert "None is of this version" in find(old, "note", "software")[0]
    assert __version__ in find(new, "ok", "software")[0]


def test_nothing_can_be_locked_in_a_folder(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive)

    ran = refusals.expect_refusal(
        site.side, "archive", "doctor", site.archive, "--lock", error=ConfigurationError
    )

    assert "keeps no locks" in ran.json["error"]["message"]


def test_a_check_is_due_after_the_days_of_the_policy(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive)
    ran = site.run("check", site.archive, "--sign", site.key("ray"))
    assert ran.code == 0, ran.err

    fresh = examine(site, site.archive)
    assert "every 90 days" in find(fresh, "ok", "checks")[0]
    with clock_at(f"{datetime.now(UTC).year + 1}-12-31"):
        late = examine(site, site.archive, code=ConfigurationError.exit_code)
    assert "every 90 days" in find(late, "problem", "checks")[0]


def test_what_was_not_read_was_not_checked(site: ArchiveSite, tmp_path: Path) -> None:
    """A sample is a result of the whole archive, and that of a copy has the same id."""
    depots = [site.export(f"v{n}", {"own.bin": b"%d" % n}) for n in range(4)]
    for depot in depots:
        assert site.add(depot, site.archive).code == 0
    sign = ("--sign", site.key("ray"))
    assert site.run("check", site.archive, "--sample", "25%", "--seed", "a", *sign).code == 0
    some = examine(site, site.archive, code=ConfigurationError.exit_code)
    assert "3 packs were read by no signed check" in find(some, "problem", "checks")[0]

    copy = Path(shutil.copytree(site.archive, tmp_path / "copy"))
    assert site.run("check", copy, *sign).code == 0
    (month,) = (copy / "archive/checks").iterdir()
    shutil.copytree(month, site.archive / "archive/checks" / month.name, dirs_exist_ok=True)
    brought = examine(site, site.archive, code=ConfigurationError.exit_code)
    assert "3 packs were read by no signed check" in find(brought, "problem", "checks")[0]

    assert site.run("check", site.archive, "--older-than", "30d", *sign).code == 0
    assert find(examine(site, site.archive), "ok", "checks")


def test_a_check_that_failed_is_told(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive)
    (pack,) = (site.archive / "packs").glob("*/*")
    pack.write_bytes(b"x" * pack.stat().st_size)
    assert site.run("check", site.archive, "--sign", site.key("ray")).code != 0

    ran = examine(site, site.archive, code=ConfigurationError.exit_code)

    assert "failed: 1 problem" in find(ran, "problem", "checks")[0]


def test_records_that_are_damaged_or_lost_are_named(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive)
    other = site.export("v2", {"other": b"2"})
    assert site.side.run("copy", other, site.archive).code == 0
    (record,) = site.list_records()
    record.write_bytes(b"{}")

    ran = examine(site, site.archive, code=ConfigurationError.exit_code)

    assert f"{record.name} is damaged" in find(ran, "problem", "records")[0]
    assert find(ran, "note", "records")


def test_a_mode_that_can_be_lifted_is_a_note_and_files_of_nobody_too() -> None:
    files = [
        LockedFile("kept", ObjectRetention("GOVERNANCE", 10 * DAY), 10 * DAY),
        LockedFile("nobody's", None, 0),
    ]

    findings = list(report_locks("@vault", files, DAY))

    assert [finding.level for finding in findings] == ["note", "note", "ok"]
    assert "GOVERNANCE: kept." in findings[0].message
    assert "nobody's" in findings[1].message


@pytest.mark.parametrize(
    ("protection", "says"),
    [
        (Protection(True, 0, 5, 0, (), frozenset({0})), "mounted read-only"),  # noqa: FBT003
        (Protection(False, 1 << 40, 5, 5, (), frozenset({0})), "All 5 files"),  # noqa: FBT003
        (Protection(False, 5, 5, 4, (), frozenset({0})), "4 of 5 files are immutable"),  # noqa: FBT003
        (Protection(False, 5, 5, 4, (), frozenset({0})), "has only 5 B free"),  # noqa: FBT003
        (Protection(False, 5, 5, 4, (), frozenset({7, 9})), "by id: 9."),  # noqa: FBT003
    ],
)
def test_what_protects_a_folder_is_told(protection: Protection, says: str) -> None:
    findings = report_folder(Path("/vault"), protection, 7)

    assert any(says in finding.message for finding in findings)


def test_an_escrow_proves_that_it_opens_each_seal(tmp_path: Path) -> None:
    sealed = make_sealed_site(tmp_path, post_quantum=False)
    assert sealed.export("-o", tmp_path / "depot").code == 0
    identity_files.generate(tmp_path, "other", post_quantum=False)
    other = tmp_path / "other.identity"

    def look(*words: str | Path) -> Ran:
        return sealed.isolated.run("archive", "doctor", tmp_path / "depot", "--json", *words)

    assert "nobody tried" in find(look(), "note", "escrow")[0]
    assert "opens the seals of all 1" in find(look("--identity", sealed.escrow), "ok", "escrow")[0]
    wrong = look("--identity", other)
    assert wrong.code == ConfigurationError.exit_code
    assert "None of the identities" in find(wrong, "problem", "escrow")[0]


@pytest.mark.parametrize(
    ("years", "level", "verb"), [(0, "problem", "ended"), (0.3, "note", "ends"), (9, "ok", "No")]
)
def test_stamps_that_end_are_named(site: ArchiveSite, years: float, level: str, verb: str) -> None:
    now = int(time.time())
    end = now + int(years * YEAR) - 1
    authority = StampAuthority("Site", start=now - 9 * YEAR, end=end, years=20)
    bundle = site.add_whole(site.export("v1"), site.archive)
    (envelope,) = (site.archive / "bundles" / bundle).glob("builder.*.dsse")
    stamp = authority.stamp(envelope.read_bytes(), now - YEAR)
    (envelope.parent / stamp_file(envelope.name, 1)).write_bytes(stamp)

    ran = examine(site, site.archive, code=ConfigurationError.exit_code)

    assert verb in find(ran, level, "stamps")[0]


def test_files_are_looked_at_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "a" / "file").write_bytes(b"1")
    (tmp_path / "a" / "open").write_bytes(b"1")
    (tmp_path / "a" / "open").chmod(0o664)
    (tmp_path / "a" / "link").symlink_to("/etc")

    found = inspect_protection(tmp_path)

    assert (found.files, found.immutable) == (2, 0)
    assert found.writable_by_others == (tmp_path / "a" / "open",)
    assert found.owners == {os.geteuid()}
    assert found.free > 0
    assert not found.read_only


@pytest.mark.servers
def test_files_that_are_immutable_are_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    set_flag = ["chattr", "+i", str(tmp_path / "file")]
    if subprocess.run(set_flag, check=False, capture_output=True, timeout=10).returncode:
        pytest.skip("chattr +i is not possible here")
    try:
        assert inspect_protection(tmp_path).immutable == 1
    finally:
        subprocess.run(["chattr", "-i", str(tmp_path / "file")], check=True, timeout=10)


def test_a_hold_has_no_end_and_a_lock_has_one(site: ArchiveSite, bucket: LockedBucket) -> None:
    bundle = site.add_whole(site.export("v1"), "@vault")
    words = ("--reason", "case 7", "--key", site.key("ray"))
    assert site.run("hold", f"@vault#{bundle}", *words).code == 0
    assert len(keys(bucket, "/records/")) == 2

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    assert "1 bundle is under a hold, which has no end" in find(ran, "note", "locks")[0]


def test_many_hidden_files_are_counted(site: ArchiveSite, bucket: LockedBucket) -> None:
    site.add_whole(site.export("v1"), "@vault")
    for key in keys(bucket, "/evidence/"):
        bucket.plant(key, None)
    for key in keys(bucket, "/software/") + keys(bucket, "/roots/") + keys(bucket, "ward/bundles/"):
        bucket.plant(key, b"evil")

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    told = find(ran, "problem", "versions")
    assert any("files are hidden by delete markers; the first 3 are above" in text for text in told)
    assert any("versions with different bytes; the first 3 are above" in text for text in told)


def test_a_manifest_that_is_hidden_twice_leaves_its_packs_unknown(
    site: ArchiveSite, bucket: LockedBucket
) -> None:
    bundle = site.add_whole(site.export("v1"), "@vault")
    for key in keys(bucket, "manifest.msgpack"):
        bucket.plant(key, None)

    ran = examine(site, "@vault", code=ConfigurationError.exit_code)

    assert any(
        f"not known which packs bundle {bundle} needs" in text
        for text in find(ran, "problem", "records")
    )


def test_a_bundle_whose_time_is_over_is_a_note(site: ArchiveSite) -> None:
    site.add_whole(site.export("v1"), site.archive, name="logs")

    with clock_at(f"{datetime.now(UTC).year + 2}-01-01"):
        ran = examine(site, site.archive, code=ConfigurationError.exit_code)

    assert "The time of 1 bundle is over" in " ".join(find(ran, "note", "records"))
