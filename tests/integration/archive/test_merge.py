"""``airgap archive merge``: the results of all shards become one, or none (format §36.5)."""

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import (
    AirgapError,
    ConfigurationError,
    ConflictError,
    CorruptError,
    MissingError,
    NotTrustedError,
    UsageError,
)
from airgap.format.read_check import decode_check
from airgap.format.shard import Shard
from airgap.signing.checks import sign_check
from tests.support.archives import find_packs, flip, list_files, pack_of, write_archive
from tests.support.recorded_site import RecordedSite, make_recorded_site
from tests.support.refusals import expect_refusal

SHARDS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RecordedSite:
    """A site with an archive, and the results of its shards, of which one has a bad pack."""
    site = make_recorded_site(tmp_path_factory.mktemp("merge"))
    write_archive(site.top / "archive", list_files(site, 9))
    flip(find_packs(site.top / "archive")[0])
    for number in range(1, SHARDS + 1):
        make_result(site, number)
    return site


def make_result(site: RecordedSite, number: int, *words: str | Path, name: str = "") -> Path:
    """Check a shard of the site's archive; return its result."""
    path = site.top / (name or f"{number}.json")
    key = ("--sign", site.key())
    shard = ("--shard", f"{number}/{SHARDS}")
    ran = site.run("archive", "check", site.top / "archive", *shard, "-o", path, *key, *words)
    assert ran.code in {0, 10}, ran.err
    return path


@pytest.fixture
def site(made: RecordedSite, tmp_path: Path) -> RecordedSite:
    return RecordedSite(Path(shutil.copytree(made.top, tmp_path / "ward")), made.keys)


def list_results(site: RecordedSite) -> list[Path]:
    return [site.top / f"{number}.json" for number in range(1, SHARDS + 1)]


def read_statement(path: Path) -> dict[str, Any]:
    value = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    assert isinstance(value, dict)
    return value


def test_all_shards_make_one_result_that_names_them(site: RecordedSite, tmp_path: Path) -> None:
    merged = tmp_path / "merged.json"
    words = ("--sign", site.key(), "-o", merged, "--archive", site.top / "archive")

    ran = site.run("archive", "merge", *list_results(site), *words, "--json")

    assert ran.code == CorruptError.exit_code, ran.err  # of the bad pack
    found = ran.json
    assert (found["result"], found["packs"], found["packs_read"]) == ("FAILED", 9, 9)
    assert len(found["problems"]) == 1
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in list_results(site)]
    assert found["shards"] == digests
    extension = read_statement(merged)["predicate"]["airgap:check/v1"]
    assert (extension["shards"], extension["shard"]) == (digests, "1/1")
    assert (site.top / "archive" / found["stored"]).read_bytes() == merged.read_bytes()
    times = [
        read_statement(path)["predicate"]["airgap:check/v1"]["began"] for path in list_results(site)
    ]
    assert extension["began"] == min(times)


def test_without_a_key_the_verdict_is_printed_and_nothing_written(site: RecordedSite) -> None:
    ran = site.run("archive", "merge", *reversed(list_results(site)))

    assert ran.code == CorruptError.exit_code
    assert "FAILED: 9 bundles, 9 packs" in ran.out


def test_the_same_result_twice_is_the_same_result(site: RecordedSite) -> None:
    results = list_results(site)
    copy = shutil.copy(results[0], site.top / "copy.json")

    assert site.run("archive", "merge", *results, copy).code == CorruptError.exit_code


def _leave_one_out(site: RecordedSite) -> list[Path]:
    return list_results(site)[1:]


def _add_a_bundle(site: RecordedSite) -> list[Path]:
    archive = site.top / "archive"
    write_archive(archive, list_files(site, 10))
    return [*list_results(site)[:2], make_result(site, 3, name="later")]


def _check_another_archive(site: RecordedSite) -> list[Path]:
    (site.top / "archive/archive/id").write_text("0" * 32 + "\n")
    return [*list_results(site)[:2], make_result(site, 3, name="other")]


def _check_a_sample(site: RecordedSite) -> list[Path]:
    words = ("--sample", "50%", "--seed", "a")
    return [*list_results(site)[:2], make_result(site, 3, *words, name="sample")]


def _sign_by(name: str) -> Callable[[RecordedSite], list[Path]]:
    def sign(site: RecordedSite) -> list[Path]:
        """Sign the third result anew, with a key that is not a recorder's."""
        path = list_results(site)[2]
        check = decode_check(base64.b64decode(json.loads(path.read_bytes())["payload"]))
        path.write_bytes(sign_check(check, site.signer(name)))
        return list_results(site)

    return sign


def _cut_off(site: RecordedSite) -> list[Path]:
    path = list_results(site)[2]
    path.write_bytes(path.read_bytes()[:-2])
    return list_results(site)


def _merge_before(site: RecordedSite) -> list[Path]:
    merged = site.top / "merged.json"
    words = ("--sign", site.key(), "-o", merged)
    assert site.run("archive", "merge", *list_results(site), *words).code == CorruptError.exit_code
    return [merged, *list_results(site)]


@pytest.mark.parametrize(
    ("results", "error"),
    [
        (_leave_one_out, MissingError),
        (_add_a_bundle, ConflictError),
        (_check_another_archive, ConflictError),
        (_check_a_sample, ConflictError),
        (_sign_by("other"), NotTrustedError),
        (_sign_by("bob"), NotTrustedError),
        (_cut_off, CorruptError),
        (_merge_before, ConflictError),
    ],
)
def test_results_that_do_not_make_one_are_refused(
    site: RecordedSite,
    results: Callable[[RecordedSite], list[Path]],
    error: type[AirgapError],
) -> None:
    expect_refusal(site, "archive", "merge", *results(site), error=error)


def test_two_different_results_of_one_shard_are_refused(site: RecordedSite) -> None:
    packs = find_packs(site.top / "archive")
    flip(next(path for path in packs if Shard(2, SHARDS).takes(pack_of(path))))
    again = make_result(site, 2, name="again.json")

    expect_refusal(site, "archive", "merge", *list_results(site), again, error=ConflictError)


def test_a_damaged_manifest_is_in_the_merged_result(site: RecordedSite) -> None:
    flip(min((site.top / "archive").glob("bundles/*/manifest.msgpack")))
    results = [make_result(site, number) for number in range(1, SHARDS + 1)]
    words = ("--sign", site.key(), "--archive", site.top / "archive")

    ran = site.run("archive", "merge", *results, *words, "--json")

    assert ran.code == CorruptError.exit_code
    assert ran.json["packs"] == 8  # nobody knows what it needs
    assert {one["test"] for one in ran.json["problems"]} == {"manifests", "packs"}


def test_an_archive_that_has_changed_since_is_refused(site: RecordedSite) -> None:
    write_archive(site.top / "archive", list_files(site, 10))
    words = ("--sign", site.key(), "--archive", site.top / "archive")

    expect_refusal(site, "archive", "merge", *list_results(site), *words, error=ConflictError)


def test_a_merged_result_is_not_written_without_a_key(site: RecordedSite) -> None:
    words = ("-o", site.top / "merged.json")

    expect_refusal(site, "archive", "merge", *list_results(site), *words, error=UsageError)


def test_who_trusts_nobody_merges_nothing(site: RecordedSite, tmp_path: Path) -> None:
    nobody = RecordedSite(tmp_path / "nobody", site.keys)
    nobody.top.mkdir()

    expect_refusal(nobody, "archive", "merge", *list_results(site), error=ConfigurationError)
