"""What an import needs on each file system is printed beforehand, and is what it then takes."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.disk_watch import watch
from tests.support.faults import Fault, Launcher
from tests.support.sides import Side, Site

MODEL = {"a.bin": stores.noise(2_500_000), "b.bin": stores.noise(1_500_000, 1)}
REPOSITORY = {f"shard-{number}.bin": stores.noise(700_001, number) for number in range(3)}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def depot(tmp_path: Path, connected: Side, site: Site) -> Path:
    entry = stores.hugging_face_entry("org/name", COMMIT)
    stores.add_model(connected, "big:v1", MODEL)
    stores.add_snapshot(connected, "org/name", COMMIT, REPOSITORY)
    stores.add_bento(connected, "shop:v1", {"src/s.py": b"pass\n" * 5000}, models=["big:v1", entry])
    path = tmp_path / "depot"
    assert connected.run("export", "shop:v1", "-o", path, "--key", site.key()).code == 0
    return path


def expect_near(measured: int, printed: int) -> None:
    assert 0.9 * printed <= measured <= printed


def test_the_peak_is_what_an_import_takes(depot: Path, isolated: Side) -> None:
    planned = isolated.run("import", depot, "--dry-run", "--json").json["disk_use"]

    with watch(isolated.top) as seen:
        ran = isolated.run("import", depot, "--json")

    (disk,), (again,) = planned, ran.json["disk_use"]
    assert again == disk | {"free": again["free"]}
    assert disk["peak"] == disk["at_most"] == max(step["bytes"] for step in disk["steps"])
    assert [step["step"] for step in disk["steps"]] == ["staging", "installing"]
    expect_near(seen.peak(isolated.top), disk["peak"])


def test_the_device_and_the_peak_are_printed_before_an_import(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = isolated.run("import", depot, "--dry-run")
    usage = shutil.disk_usage(isolated.top)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=8_000_000))
    dry = isolated.run("import", depot, "--dry-run")
    ran = isolated.run("import", depot)

    (line,) = [line for line in dry.out.splitlines() if line.startswith("Peak disk use")]
    place = re.escape(str(isolated.bentoml))
    assert re.match(rf"Peak disk use at {place} \(.+, 8\.0 MB free\): 6\.\d MB\.$", line), line
    assert "\n  staging: 6." in dry.out
    writing = rf"Writing to {place} \(.+, 8\.0 MB free\)\. Peak disk use: 6\.\d MB\."
    assert re.fullmatch(writing, ran.err.strip()), ran.err
    assert re.search(
        rf"^6\.\d MB written to {place} \(.+, 8\.0 MB free\)\.$", ran.out, re.MULTILINE
    )
    assert (roomy.err, dry.err) == ("", "")


def test_what_is_in_staging_counts(depot: Path, isolated: Side, launcher: Launcher) -> None:
    fault = Fault(before=r"pwrite .*shard-2")
    child = launcher.start(isolated, "import", depot, "--jobs", "1", fault=fault)
    assert child.end().killed
    with watch(isolated.top) as seen:
        ran = isolated.run("import", depot, "--json")

    assert ran.code == 0, ran.err
    (disk,) = ran.json["disk_use"]
    assert disk["peak"] < 3_000_000
    assert seen.peak(isolated.top) <= disk["peak"]


@pytest.fixture
def other_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="needs another file system")  # noqa: S108
def test_each_file_system_has_its_peak(depot: Path, isolated: Side, other_disk: Path) -> None:
    hub = isolated.hugging_face
    shutil.rmtree(hub, ignore_errors=True)
    hub.parent.mkdir(parents=True, exist_ok=True)
    hub.symlink_to(other_disk)

    with watch(isolated.top, other_disk) as seen:
        ran = isolated.run("import", depot, "--json")

    assert ran.code == 0, ran.err
    peaks = {disk["folder"]: disk for disk in ran.json["disk_use"]}
    assert len(peaks) == 2
    for folder, disk in peaks.items():
        near = other_disk if Path(folder).stat().st_dev == other_disk.stat().st_dev else None
        expect_near(seen.peak(near or isolated.top), disk["peak"])


def test_a_dry_run_is_refused_too_where_a_disk_is_too_small(
    depot: Path, isolated: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(isolated.top)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))

    ran = isolated.run("import", depot, "--dry-run", "--json")

    assert ran.code == 15
    message = ran.json["error"]["message"]
    assert message.startswith(f"{isolated.bentoml} needs 6.")
    assert message.endswith(" MB more and has 5.0 MB free.")
    assert "run the same command again" in ran.json["error"]["hint"]
    assert not isolated.bentoml.exists()
