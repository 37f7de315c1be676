"""Results of checks that lie: forged, of another archive, left out, or of more than was read."""

import base64
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import ConflictError, CorruptError, MissingError, NotTrustedError, StorageError
from airgap.format.check_result import ArchiveCheck
from airgap.format.read_check import decode_check
from airgap.format.shard import find_number
from airgap.signing.checks import sign_check
from airgap.state.check_runs import CheckRun, RunStart
from tests.support.archives import find_packs, flip, list_files, pack_of, write_archive
from tests.support.recorded_site import RecordedSite, make_recorded_site
from tests.support.refusals import expect_refusal

OLDER = ("--older-than", "90d")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    site = make_recorded_site(tmp_path_factory.mktemp("archives"))
    write_archive(site.top / "archive", list_files(site, 6))
    return site


@pytest.fixture
def site(made: RecordedSite, tmp_path: Path) -> RecordedSite:
    return RecordedSite(Path(shutil.copytree(made.top, tmp_path / "ward")), made.keys)


def check(site: RecordedSite, *words: str | Path, code: int = 0) -> int:
    """Check what nobody has read of late; return how many packs were read."""
    ran = site.run("archive", "check", site.top / "archive", *words, "--json")
    assert ran.code == code, ran.err
    read = ran.json["packs_read"]
    assert isinstance(read, int)
    return read


def find_result(site: RecordedSite) -> Path:
    (path,) = site.top.glob("archive/archive/checks/*/*.check.json")
    return path


def read_check(path: Path) -> ArchiveCheck:
    return decode_check(base64.b64decode(json.loads(path.read_bytes())["payload"]))


def forge_result(site: RecordedSite, check: ArchiveCheck, key: str = "recorder") -> Path:
    """Put a result in place of the archive's only one, under its right name."""
    raw = sign_check(check, site.signer(key))
    old = find_result(site)
    old.unlink()
    path = old.with_name(f"{hashlib.sha256(raw).hexdigest()}.check.json")
    path.write_bytes(raw)
    return path


def _by_a_builder(site: RecordedSite) -> None:
    forge_result(site, read_check(find_result(site)), "bob")


def _by_a_stranger(site: RecordedSite) -> None:
    forge_result(site, read_check(find_result(site)), "other")


def _changed_afterwards(site: RecordedSite) -> None:
    path = find_result(site)
    words = json.loads(path.read_bytes())
    payload = base64.b64decode(words["payload"]).replace(b'"warnedTests":[]', b'"warnedTests":[ ]')
    words["payload"] = base64.b64encode(payload).decode()
    raw = json.dumps(words, separators=(",", ":")).encode() + b"\n"
    path.unlink()
    path.with_name(f"{hashlib.sha256(raw).hexdigest()}.check.json").write_bytes(raw)


def _under_another_name(site: RecordedSite) -> None:
    path = find_result(site)
    path.rename(path.with_name(f"{'0' * 64}.check.json"))


def _of_another_archive(site: RecordedSite) -> None:
    forge_result(site, replace(read_check(find_result(site)), archive="f" * 32))


def _of_a_copy(site: RecordedSite) -> None:
    forge_result(site, replace(read_check(find_result(site)), location="/srv/copy"))


def _from_the_future(site: RecordedSite) -> None:
    times = {"began": "2999-01-01T00:00:00Z", "ended": "2999-01-01T00:00:00Z"}
    forge_result(site, replace(read_check(find_result(site)), **times))  # type: ignore[arg-type]


def _with_a_changed_list(site: RecordedSite) -> None:
    (path,) = site.top.glob("archive/archive/checks/*/*.packs")
    path.write_bytes(path.read_bytes()[:-32] + b"\xff" * 32)


def _without_its_list(site: RecordedSite) -> None:
    (path,) = site.top.glob("archive/archive/checks/*/*.packs")
    path.unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        _by_a_builder,
        _by_a_stranger,
        _changed_afterwards,
        _under_another_name,
        _of_another_archive,
        _of_a_copy,
        _from_the_future,
        _with_a_changed_list,
        _without_its_list,
    ],
)
def test_a_forged_result_keeps_no_pack_from_being_read(
    site: RecordedSite, spoil: Callable[[RecordedSite], None]
) -> None:
    assert check(site, *OLDER, "--sign", site.key()) == 6
    assert check(site, *OLDER) == 0  # as long as it is the archive's own

    spoil(site)

    assert check(site, *OLDER) == 6


def test_a_result_that_says_more_than_was_read_is_refused(site: RecordedSite) -> None:
    path = site.top / "result.json"
    check(site, "--sample", "50%", "--sign", site.key(), "-o", path)
    honest = read_check(path)
    assert (honest.packs, honest.packs_read) == (6, 3)

    path.write_bytes(sign_check(replace(honest, packs_read=7), site.signer()))
    expect_refusal(site, "archive", "merge", path, error=CorruptError)

    for changed in (replace(honest, packs_read=6), replace(honest, packs=60)):
        path.write_bytes(sign_check(changed, site.signer()))
        words = ("--archive", site.top / "archive", "--sign", site.key())
        expect_refusal(site, "archive", "merge", path, *words, error=NotTrustedError)


def test_a_sample_of_packs_that_are_not_there_is_refused(site: RecordedSite) -> None:
    path = site.top / "result.json"
    check(site, "--sample", "50%", "--sign", site.key(), "-o", path)
    (packs,) = site.top.glob("archive/archive/checks/*/*.packs")
    invented = b"".join(sorted(hashlib.sha256(b"%d" % n).digest() for n in range(3)))
    digest = hashlib.sha256(invented).digest()
    packs.with_name(f"{digest.hex()}.packs").write_bytes(invented)
    path.write_bytes(sign_check(replace(read_check(path), sampled=digest), site.signer()))
    words = ("--archive", site.top / "archive", "--sign", site.key())

    expect_refusal(site, "archive", "merge", path, *words, error=NotTrustedError)


def test_a_result_of_another_archive_is_not_merged(site: RecordedSite) -> None:
    other = RecordedSite(site.top / "other", site.keys)
    shutil.copytree(site.state, other.state)
    write_archive(other.top / "archive", list_files(site, 6))  # the same bundles
    path = site.top / "result.json"
    assert check(other, "--sign", site.key(), "-o", path) == 6
    check(site, "--sign", site.key())
    words = ("--archive", site.top / "archive", "--sign", site.key())

    expect_refusal(site, "archive", "merge", path, *words, error=ConflictError)


def test_a_shard_that_is_left_out_is_named(site: RecordedSite) -> None:
    paths = [site.top / f"{number}.json" for number in range(1, 9)]
    for number, path in enumerate(paths, 1):
        check(site, "--shard", f"{number}/8", "--sign", site.key(), "-o", path)

    ran = expect_refusal(site, "archive", "merge", *paths[:4], *paths[5:], error=MissingError)

    assert "5/8" in ran.json["error"]["message"]


def test_a_shard_cannot_stand_in_for_another(site: RecordedSite) -> None:
    """Its number is in what is signed, and so is how many packs the shard has."""
    first, second = site.top / "1.json", site.top / "2.json"
    for number, path in ((1, first), (2, second)):
        check(site, "--shard", f"{number}/2", "--sign", site.key(), "-o", path)
    words = second.read_bytes()
    payload = base64.b64decode(json.loads(words)["payload"])
    forged = json.loads(words) | {
        "payload": base64.b64encode(payload.replace(b'"2/2"', b'"1/2"')).decode()
    }
    first.write_bytes(json.dumps(forged, separators=(",", ":")).encode() + b"\n")

    expect_refusal(site, "archive", "merge", first, second, error=NotTrustedError)


def test_shards_of_two_copies_do_not_make_one_whole(site: RecordedSite) -> None:
    """A copy has the archive's id, and the same bundles; the half that was not read is damaged."""
    archive, copy = site.top / "archive", site.top / "copy"
    check(site, "--shard", "1/2", "--sign", site.key(), "-o", site.top / "1.json")
    shutil.copytree(archive, copy)
    ran = site.run(
        *("archive", "check", copy, "--shard", "2/2", "--sign", site.key()),
        *("-o", site.top / "2.json"),
    )
    assert ran.code == 0, ran.err
    for path in find_packs(archive):
        if find_number(pack_of(path), 2) == 2:
            flip(path)
    words = ("--archive", archive, "--sign", site.key())
    results = (site.top / "1.json", site.top / "2.json")

    ran = expect_refusal(site, "archive", "merge", *results, *words, error=ConflictError)

    assert "the location of shard 2/2" in ran.json["error"]["message"]


def test_packs_whose_manifest_could_not_be_read_are_not_taken_for_read(site: RecordedSite) -> None:
    """Nobody knew of the pack when its bundle was damaged: no shard has read it."""
    (manifest, *_) = sorted(site.top.glob("archive/bundles/*/manifest.msgpack"))
    good = flip(manifest)
    for number in (1, 2):
        words = ("--shard", f"{number}/2", "--sign", site.key(), "-o", site.top / f"{number}.json")
        check(site, *words, code=CorruptError.exit_code)
    merged = site.run("archive", "merge", site.top / "1.json", site.top / "2.json", "--json")
    assert (merged.json["problem_count"], len(merged.json["problems"])) == (1, 1)
    manifest.write_bytes(good)

    assert check(site, *OLDER) == 1


def plant(site: RecordedSite) -> Path:
    """Leave a state file which says that all packs were read, as a killed check would."""
    keys: list[str] = []

    def refuse(key: str, _: RunStart) -> CheckRun:
        keys.append(key)
        raise StorageError("The check was stopped.", "Go on.")

    with site.here():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CheckRun, "begin", refuse)
            site.run("archive", "check", site.top / "archive")
        run = CheckRun.begin(keys[0], RunStart(int(time.time()), "a", b"n" * 16))
        for path in find_packs(site.top / "archive"):
            run.add(pack_of(path))
        run.close()
    (file,) = (site.state / "checks").iterdir()
    return file


def _of_another_user(path: Path) -> None:
    os.chown(path, 65534, -1)


def _that_others_may_write(path: Path) -> None:
    path.chmod(0o620)


def _with_a_second_name(path: Path) -> None:
    os.link(path, path.with_name("second"))


def _that_is_a_link(path: Path) -> None:
    path.rename(path.with_name("target"))
    path.symlink_to("target")


def _that_is_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            _of_another_user, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
        ),
        _that_others_may_write,
        _with_a_second_name,
        _that_is_a_link,
        _that_is_a_pipe,
    ],
)
def test_a_state_file_that_another_user_could_have_planted_is_refused(
    site: RecordedSite, spoil: Callable[[Path], None]
) -> None:
    flip(find_packs(site.top / "archive")[0])
    spoil(plant(site))

    expect_refusal(site, "archive", "check", site.top / "archive", error=StorageError)


def test_a_state_file_says_nothing_about_what_was_not_asked(site: RecordedSite) -> None:
    """What this user's own killed check has read counts for that check alone, and once."""
    plant(site)

    assert check(site, "--shard", "1/1", "--seed", "b") == 6  # another question
    flip(find_packs(site.top / "archive")[0])
    assert check(site) == 6  # goes on where it was
    check(site, code=CorruptError.exit_code)  # and reads everything now
