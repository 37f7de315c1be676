"""A check reads what an archive says of its bundles: records, evidence, policies, programs."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive_site import ArchiveSite, make_archive_site
from tests.support.archives import flip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ArchiveSite:
    site = make_archive_site(tmp_path_factory.mktemp("records"), approvers=0)
    bundle = site.add_whole(site.export("v1"), site.archive)
    held = site.run("hold", f"{site.archive}#{bundle}", "--reason", "r", "--key", site.key("ray"))
    assert held.code == 0, held.err
    return site


@pytest.fixture
def archive(made: ArchiveSite, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.archive, tmp_path / "archive"))


def check(site: ArchiveSite, archive: Path) -> dict[str, Any]:
    return site.run("check", archive, "--json").json


def test_an_archive_that_is_whole_passes_with_its_records(made: ArchiveSite, archive: Path) -> None:
    found = check(made, archive)

    assert (found["result"], found["problems"]) == ("PASSED", [])
    assert "records" in found["tests"]["passed"]


def _find(folder: Path, pattern: str) -> Path:
    return min(folder.glob(f"archive/{pattern}"))


def _remove_the_first_record(archive: Path) -> None:
    records = archive.glob("archive/records/*.json")
    next(path for path in records if b"archived" in _decode(path)).unlink()


def _decode(path: Path) -> bytes:
    return base64.b64decode(json.loads(path.read_bytes())["payload"])


def _remove_all_records(archive: Path) -> None:
    for path in archive.glob("archive/records/*.json"):
        path.unlink()


def _remove_the_bundle(archive: Path) -> None:
    min(archive.glob("bundles/*/manifest.msgpack")).unlink()
    # another one, so that it is still an archive
    other = archive / "bundles" / ("0" * 64)
    other.mkdir()
    (other / "manifest.msgpack").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (lambda archive: flip(_find(archive, "records/*")), {"corrupt"}),
        (_remove_the_first_record, {"missing"}),
        (_remove_all_records, {"missing"}),
        (lambda archive: flip(_find(archive, "evidence/*/*")), {"corrupt"}),
        (lambda archive: _find(archive, "evidence/*/*").unlink(), {"missing"}),
        (lambda archive: _find(archive, "evidence/*/*").write_bytes(b""), {"corrupt"}),
        (lambda archive: flip(_find(archive, "policy/*")), {"corrupt"}),
        (lambda archive: flip(_find(archive, "software/*.md")), {"corrupt"}),
        (_remove_the_bundle, {"missing"}),
    ],
)
def test_what_is_missing_or_changed_is_found(
    made: ArchiveSite, archive: Path, spoil: Callable[[Path], object], kinds: set[str]
) -> None:
    spoil(archive)

    found = check(made, archive)

    assert found["result"] == "FAILED"
    problems = [one for one in found["problems"] if one["test"] == "records"]
    assert kinds <= {one["kind"] for one in problems}


def test_the_records_of_a_bundle_are_read_in_its_shard_alone(
    made: ArchiveSite, archive: Path
) -> None:
    flip(_find(archive, "evidence/*/*"))

    verdicts = [
        made.run("check", archive, "--shard", f"{number}/3", "--json").json["result"]
        for number in (1, 2, 3)
    ]

    assert sorted(verdicts) == ["FAILED", "PASSED", "PASSED"]
