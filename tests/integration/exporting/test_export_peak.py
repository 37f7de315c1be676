"""What an export needs on each file system is known beforehand, and is what it then takes."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airgap.flow.exporting import forecast
from airgap.format import layout
from tests.support import mounts, stores
from tests.support.disk_watch import measure_used, watch
from tests.support.sides import Side, Site

MIB = 1024 * 1024
TEXT = b"".join(b"line %d of a text that compresses\n" % number for number in range(60_000))
NOISE = stores.noise(3_300_000)
BIG = {"a.bin": NOISE, "text.txt": TEXT}
OTHER = {"b.bin": stores.noise(2_900_000, 1), "again.bin": NOISE}


@pytest.fixture
def stocked(connected: Side) -> Side:
    """Two models that have a file in common."""
    stores.add_model(connected, "big:v1", BIG)
    stores.add_model(connected, "other:v1", OTHER)
    models = ["big:v1", "other:v1"]
    stores.add_bento(connected, "shop:v1", {"src/s.py": b"pass\n" * 900}, models=models)
    return connected


@pytest.fixture
def large(connected: Side, monkeypatch: pytest.MonkeyPatch) -> Side:
    """A model that is large enough for samples."""
    monkeypatch.setattr(forecast, "_EXACT_BYTES", MIB)
    half = stores.noise(6 * MIB, 2).translate(bytes(value & 63 for value in range(256)))
    files = {"noise.bin": stores.noise(9 * MIB), "half.bin": half, "copy.bin": half}
    stores.add_model(connected, "big:v1", files)
    return connected


def plan(side: Side, *words: str | Path) -> dict[str, Any]:
    ran = side.run("export", *words, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    return ran.json


def peak(planned: dict[str, Any]) -> int:
    (disk,) = planned["disk_use"]
    assert disk["peak"] == max(step["bytes"] for step in disk["steps"])
    return int(disk["peak"])


def expect_near(measured: int, planned: int) -> None:
    assert 0.9 * planned <= measured <= planned


@pytest.mark.parametrize("name", ["depot", "big.airgap", "big.bento.tar", "folder"])
def test_the_peak_is_what_an_export_takes(
    name: str, stocked: Side, tmp_path: Path, site: Site
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    words: list[str | Path] = ["shop:v1", "-o", out / name]
    words += ["--format", name] if name == "folder" else []
    planned = plan(stocked, *words)
    assert not any(out.iterdir())

    with watch(out) as seen:
        ran = stocked.run("export", *words, "--key", site.key(), "--json")

    assert ran.code == 0, ran.err
    assert ran.json["disk_use"][0]["peak"] == peak(planned)
    expect_near(seen.peak(out), peak(planned))


def test_what_is_estimated_from_samples_is_near(large: Side, tmp_path: Path, site: Site) -> None:
    out = tmp_path / "out"
    out.mkdir()
    words = ("--model", "big:v1", "-o", out / "depot")
    planned = plan(large, *words)

    with watch(out) as seen:
        ran = large.run("export", *words, "--key", site.key(), "--json")

    assert ran.code == 0, ran.err
    (disk,) = planned["disk_use"]
    assert planned["estimated"]
    assert disk["at_most"] > 15 * MIB > disk["peak"]
    expect_near(seen.peak(out), disk["peak"])


def test_parity_has_a_step_of_its_own(stocked: Side, tmp_path: Path, site: Site) -> None:
    out = tmp_path / "out"
    out.mkdir()
    words = ("shop:v1", "-o", out, "--parity", "10%")
    planned = plan(stocked, *words)

    with watch(out) as seen:
        assert stocked.run("export", *words, "--key", site.key()).code == 0

    steps = [step["step"] for step in planned["disk_use"][0]["steps"]]
    assert steps == ["writing packs", "adding parity"]
    expect_near(seen.peak(out), peak(planned))


def test_volumes_take_what_was_planned(stocked: Side, tmp_path: Path, site: Site) -> None:
    out = tmp_path / "out"
    out.mkdir()
    words = ("shop:v1", "-o", out, "--volume-size", "40MB", "--parity", "5%")
    planned = plan(stocked, *words)

    with watch(out) as seen:
        assert stocked.run("export", *words, "--key", site.key()).code == 0

    steps = [step["step"] for step in planned["disk_use"][0]["steps"]]
    assert steps == ["packing", "writing volumes"]
    expect_near(seen.peak(out), peak(planned))


def test_each_medium_and_the_temporary_folder_have_their_peak(
    stocked: Side, tmp_path: Path, site: Site
) -> None:
    media = [tmp_path / "first", tmp_path / "second", tmp_path / "tmp"]
    with (
        mounts.tmpfs(media[0], 6 * MIB) as first,
        mounts.tmpfs(media[1], 64 * MIB) as second,
        mounts.tmpfs(media[2], 64 * MIB) as spool,
    ):
        words = ("shop:v1", "--volumes", first, second, "--tmpdir", spool)
        planned = plan(stocked, *words)
        with watch(first, second, spool, measure=measure_used) as seen:
            ran = stocked.run("export", *words, "--key", site.key())

    assert ran.code == 0, ran.err
    peaks = {Path(disk["folder"]): disk["peak"] for disk in planned["disk_use"]}
    assert peaks.keys() == {first, second, spool}
    for folder, size in peaks.items():
        expect_near(seen.peak(folder), size)


def test_a_remote_depot_needs_room_for_packs_on_their_way(
    large: Side, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tmp_path, site, monkeypatch
    planned = plan(large, "--model", "big:v1", "-o", "sftp://server/depot", "--jobs", "2")

    (disk,) = planned["disk_use"]
    assert [step["step"] for step in disk["steps"]] == ["sending packs"]


@pytest.mark.parametrize(
    "make",
    [
        lambda out: ("-o", out / "depot"),
        lambda out: ("-o", out / "big.airgap"),
        lambda out: ("-o", out / "volumes", "--volume-size", "40MB"),
        lambda out: ("-o", out / "big.bento"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    make: Callable[[Path], tuple[str | Path, ...]],
    options: list[str],
    stocked: Side,
    tmp_path: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    usage = shutil.disk_usage(out)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=300_000))

    ran = stocked.run("export", "shop:v1", *make(out), "--key", site.key(), "--json", *options)

    assert ran.code == 15
    error = ran.json["error"]
    match = re.fullmatch(
        rf"{out}\S* needs ([\d.]+) MB more and has 300\.0 kB free\.", error["message"]
    )
    assert match, error["message"]
    missing = float(match[1]) - 0.3
    freed = re.fullmatch(
        r"Free ([\d.]+) MB and run the same command again, or name folders on other disks"
        r" \(-o, --tmpdir\)\.",
        error["hint"],
    )
    assert freed, error["hint"]
    assert missing - 0.11 < float(freed[1]) < missing + 0.11
    assert not any(out.iterdir())


def test_packs_that_are_in_the_depot_are_not_needed_again(
    stocked: Side, tmp_path: Path, site: Site
) -> None:
    words = ("shop:v1", "-o", tmp_path / "depot")
    before = plan(stocked, *words)
    assert stocked.run("export", *words, "--key", site.key()).code == 0

    planned = plan(stocked, *words)

    assert planned["stored_size"] == before["stored_size"] > 4_500_000
    assert peak(planned) < 200_000


def test_packs_that_are_in_the_depot_are_found_by_samples(
    large: Side, tmp_path: Path, site: Site
) -> None:
    words = ("--model", "big:v1", "-o", tmp_path / "depot")
    assert large.run("export", *words, "--key", site.key()).code == 0

    planned = plan(large, *words, "--reread")
    (manifest,) = (tmp_path / "depot/bundles").rglob(layout.MANIFEST)
    manifest.unlink()
    left = plan(large, *words, "--reread")

    assert planned["estimated"]
    assert peak(planned) < 3 * MIB
    assert peak(left) < 3 * MIB


def test_what_the_other_side_has_is_not_counted(large: Side, tmp_path: Path, site: Site) -> None:
    words = ("--model", "big:v1")
    first = tmp_path / "first"
    assert large.run("export", *words, "-o", first, "--key", site.key()).code == 0

    planned = plan(large, *words, "-o", tmp_path / "second", "--base", first)

    assert planned["stored_size"] < 3 * MIB


def test_a_dry_run_needs_no_key_and_writes_nothing(stocked: Side, tmp_path: Path) -> None:
    before = stores.snapshot(stocked.top)

    ran = stocked.run("export", "shop:v1", "-o", tmp_path / "big.airgap", "--dry-run")

    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[-1] == "Nothing was written."
    assert lines[1] == "model other:v1 (6.2 MB)"
    assert re.fullmatch(r"\d+\.\d MB in 6\.\d MB", lines[3]), lines[3]
    assert not (tmp_path / "big.airgap").exists()
    assert stores.snapshot(stocked.top) == before


def test_an_export_that_is_not_a_dry_run_needs_a_key(stocked: Side, tmp_path: Path) -> None:
    ran = stocked.run("export", "shop:v1", "-o", tmp_path / "depot")

    assert ran.code == 3
    assert "There is no key to sign with." in ran.err


def test_holes_are_not_read(connected: Side, tmp_path: Path) -> None:
    folder = stores.add_model(connected, "big:v1", {"a.bin": b"x" * 5000})
    with (folder / "holes.bin").open("wb") as file:
        file.write(stores.noise(MIB))
        file.truncate(3_000 * MIB)

    planned = plan(connected, "--model", "big:v1", "-o", tmp_path / "depot")

    assert planned["size"] > 3_000 * MIB
    assert planned["stored_size"] < 1.1 * MIB
    assert not planned["estimated"]


@pytest.mark.parametrize("form", ["depot", "file.airgap", "archive.tar"])
def test_an_export_names_the_device_before_and_after(
    form: str, stocked: Side, tmp_path: Path, site: Site
) -> None:
    out = tmp_path / "usb"
    words = ("export", "shop:v1", "--key", site.key(), "-o", out / form)
    with mounts.tmpfs(out, 64 * MIB):
        quiet = stocked.run(*words, "-q")
        (shutil.rmtree if (out / form).is_dir() else Path.unlink)(out / form)
        ran = stocked.run(*words)
        again = stocked.run(*words, "--json")

    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    place = rf"{re.escape(str(out))}\S* \(tmpfs, airgap-test, [\d.]+ MB free\)"
    before = rf"^Writing to {place}\. Peak disk use: [\d.]+ MB\.$"
    assert re.search(before, ran.err, re.MULTILINE), ran.err
    after = rf"^[\d.]+ MB written to {place}\.$"
    assert re.search(after, ran.out, re.MULTILINE), ran.out
    (disk,) = again.json["disk_use"]
    assert (disk["file_system"], disk["device"], disk["mount_point"]) == (
        "tmpfs",
        "airgap-test",
        str(out),
    )
    assert (again.json["bytes_written"] > 4_000_000) is (form != "depot")


def test_the_file_system_is_left_out_where_the_system_does_not_say(
    stocked: Side, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airgap.flow.disk_use.find_mount", lambda _: None)
    ran = stocked.run("export", "shop:v1", "--key", site.key(), "-o", tmp_path / "depot", "--json")

    assert re.match(rf"Writing to {tmp_path}/depot \([\d.]+ [GT]B free\)\. Peak", ran.err), ran.err
    (disk,) = ran.json["disk_use"]
    assert (disk["file_system"], disk["device"], disk["mount_point"]) == (None, None, None)
