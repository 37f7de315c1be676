"""``airgap gc``: what is not needed goes, and nothing else, whoever is at work."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airgap.errors import CorruptError, MissingError, UsageError
from airgap.format import gc_markers, layout
from tests.support import refusals, sides, stores
from tests.support.sides import Ran, Side, Site


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "depot"


def push(side: Side, site: Site, tag: str, depot: Path, *words: str | Path) -> str:
    ran = side.run("push", tag, depot, "--key", site.key(), "--json", *words)
    assert ran.code == 0, ran.err
    bundle: str = ran.json["bundle"]
    return bundle


def clean(side: Side, depot: Path, *words: str) -> Ran:
    ran = side.run("gc", depot, "--json", *words)
    assert ran.code == 0, ran.err
    return ran


def packs(depot: Path) -> set[str]:
    return {str(path.relative_to(depot)) for path in depot.glob("packs/*/*")}


def test_only_packs_that_no_bundle_needs_go(small: Side, site: Site, depot: Path) -> None:
    push(small, site, "shop:v1", depot)
    shared = packs(depot)
    stores.add_bento(small, "shop:v2", {"src/x": b"2"}, models=["ranker:v1"])
    push(small, site, "shop:v2", depot)
    both = packs(depot)
    assert small.run("delete", "shop:v2", depot, "--yes").code == 0

    first = clean(small, depot)
    assert first.json["removed"] == {}
    assert set(first.json["marked"]) == both - shared
    again = clean(small, depot, "--older-than", "0")

    assert set(again.json["removed"]) == both - shared
    assert again.json["removed_bytes"] > 0
    assert packs(depot) == shared
    assert not list(depot.glob("gc/*.sweep"))
    assert clean(small, depot).json["marked"] == {}
    assert not list(depot.glob("gc/*"))


def test_what_an_earlier_run_has_marked_goes_when_it_is_old_enough(
    small: Side, site: Site, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(small, site, "shop:v1", depot)
    assert small.run("delete", "shop:v1", depot, "--yes").code == 0
    now = time.time()
    clean(small, depot)

    monkeypatch.setattr(time, "time", lambda: now + 23 * 3600)
    assert clean(small, depot).json["removed"] == {}
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    assert clean(small, depot).json["removed"]

    assert not packs(depot)


def test_marks_of_a_clock_that_was_ahead_count_from_now(
    small: Side, site: Site, depot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(small, site, "shop:v1", depot)
    assert small.run("delete", "shop:v1", depot, "--yes").code == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 10**9)
    clean(small, depot)

    monkeypatch.setattr(time, "time", lambda: now)
    clean(small, depot)
    (marks,) = depot.glob("gc/*.marks")

    assert set(gc_markers.decode_marks(marks.read_bytes()).values()) == {int(now)}


@pytest.mark.parametrize("junk", [b"", b"\xc1", gc_markers.encode_sweep(["x"])])
def test_marks_that_are_damaged_are_written_anew(
    junk: bytes, small: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot)
    assert small.run("delete", "shop:v1", depot, "--yes").code == 0
    (depot / "gc").mkdir(exist_ok=True)
    (depot / layout.marks_name("a" * 32)).write_bytes(junk)

    assert clean(small, depot).json["removed"] == {}

    (marks,) = depot.glob("gc/*.marks")
    assert set(gc_markers.decode_marks(marks.read_bytes())) == packs(depot)


def test_what_broken_uploads_and_deletions_have_left_goes(
    small: Side, site: Site, depot: Path
) -> None:
    push(small, site, "shop:v1", depot)
    kept = stores.snapshot(depot)
    part = ".0123456789abcdef.part"
    lost = {
        f"{next(iter(packs(depot)))}{part}",
        f"README.txt{part}",
        "shop.airgap.part",  # cut before its first pack, perhaps: nothing in it is looked at
        f"{layout.BUNDLES}/{'0' * 64}/checksums.txt",
        f"{layout.BUNDLES}/{'0' * 64}/{layout.attestation_file('approver', 'a' * 64)}",
        f"{layout.BUNDLES}/{'0' * 64}/scanner.{'c' * 64}.findings",
        f"{layout.BUNDLES}/{'0' * 64}/parity/{'b' * 64}.parity",
    }
    strange = {f"{layout.BUNDLES}/{'0' * 64}/notes.txt", "packs/00/readme", "mine.part.txt"}
    for name in lost | strange:
        stores.write_files(depot, {name: b"x"})

    done = clean(small, depot, "--older-than", "0")

    assert set(done.json["removed"]) == lost
    assert all((depot / name).is_file() for name in strange)
    assert kept.items() <= stores.snapshot(depot).items()


def test_a_dry_run_writes_nothing(small: Side, site: Site, depot: Path) -> None:
    push(small, site, "shop:v1", depot)
    assert small.run("delete", "shop:v1", depot, "--yes").code == 0
    before = stores.snapshot(depot)

    ran = small.run("gc", depot, "--dry-run", "--older-than", "0")

    assert "would remove 2 files" in ran.out
    assert stores.snapshot(depot) == before


def test_nothing_goes_where_a_manifest_cannot_be_read(small: Side, site: Site, depot: Path) -> None:
    bundle = push(small, site, "shop:v1", depot)
    stray = f"packs/00/{'0' * 64}.pack"
    stores.write_files(depot, {stray: b"x", layout.manifest_name(bundle): b"damaged"})
    before = stores.snapshot(depot)

    refusals.expect_refusal(small, "gc", depot, "--older-than", "0", error=CorruptError)

    assert stores.snapshot(depot) == before


def test_a_place_that_is_no_depot_stays_as_it_is(small: Side, depot: Path) -> None:
    refusals.expect_refusal(small, "gc", depot, error=MissingError)
    refusals.expect_refusal(small, "gc", depot, "--older-than", "soon", error=UsageError)
    assert not depot.exists()


def test_an_import_of_what_is_deleted_meanwhile_says_what_is_missing(
    small: Side, isolated: Side, site: Site, depot: Path, tmp_path: Path
) -> None:
    bundle = push(small, site, "shop:v1", depot)
    copy = tmp_path / "manifest"
    copy.mkdir()
    for path in (depot / "bundles" / bundle).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert small.run("delete", "shop:v1", depot, "--yes").code == 0
    clean(small, depot, "--older-than", "0")
    for path in copy.iterdir():  # an importer read these before, and comes to the packs now
        (depot / "bundles" / bundle / path.name).write_bytes(path.read_bytes())

    refusals.expect_refusal(isolated, "import", depot, error=MissingError, staging=True)
    refusals.expect_refusal(isolated, "pull", "shop:v1", depot, error=MissingError, staging=True)


_TEAM = """
import sys
from airgap.cli.main import main
me, depot, key, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def run(*words):
    try:
        main([*words, "--quiet"])
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{words} ended with {ended.code}")

for number in range(rounds):
    if me == "gc":
        run("gc", depot, "--older-than", "0")
        continue
    run("push", f"shop:{me}", depot, "--key", key)
    run("pull", f"shop:{me}", depot)
    if number + 1 < rounds:
        run("delete", f"shop:{me}", depot, "--yes")
"""


def test_four_push_and_pull_while_two_clean_and_nothing_is_lost(
    small: Side, isolated: Side, site: Site, depot: Path
) -> None:
    team = ["a", "b", "c", "d"]
    for name in team:
        stores.add_bento(small, f"shop:{name}", {"src/x": name.encode()}, models=["ranker:v1"])
    sides.trust(small, site)
    push(small, site, "shop:v1", depot)
    environment = {**os.environ, **small.environment}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _TEAM, name, str(depot), str(site.key()), "4"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in [*team, "gc", "gc"]
    ]
    ended = [(one.communicate(timeout=120)[1], one.returncode) for one in started]

    assert [code for _, code in ended] == [0] * len(started), ended
    clean(small, depot, "--older-than", "0")
    for name in ["v1", *team]:
        ran = isolated.run("pull", f"shop:{name}", depot)
        assert ran.code == 0, ran.err
    assert isolated.run("import", depot).code == 0
