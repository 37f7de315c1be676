"""Disks that are full, read-only, or closed to us: exit 15, and nothing that is half there."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import interruptions, store_invariants, stores
from tests.support.faults import Ended, Fault, Launcher
from tests.support.sides import Side, Site

FORMS = pytest.mark.parametrize("form", ["depot", "shop.airgap"])


@pytest.fixture(scope="module")
def mounter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """A launcher whose commands live among mounts of their own."""
    for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        with suppress(FileNotFoundError):
            if (
                subprocess.run(
                    [*prefix, "true"], check=False, capture_output=True, timeout=120
                ).returncode
                == 0
            ):
                with Launcher(tmp_path_factory.mktemp("mounter"), prefix) as launched:
                    yield launched
                return
    pytest.skip("needs `unshare --mount`: Linux, and root or user namespaces")


@pytest.fixture
def big(connected: Side, site: Site, tmp_path: Path) -> Path:
    """A depot with a model of 3 MB."""
    stores.add_model(connected, "big:v1", {"weights.bin": stores.noise(3_000_000)})
    return _export(connected, site, tmp_path / "depot", "--model", "big:v1")


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    big: Path, isolated: Side, mounter: Launcher
) -> None:
    seen = _on_small_disk(mounter, isolated, "size=1m")

    ended = mounter.run(isolated, "import", big)

    _expect_storage_error(ended)
    assert " more and has " in ended.err
    assert not [*seen.bentoml.iterdir()]


def test_a_disk_that_somebody_else_fills_meanwhile_leaves_the_store_as_it_was(
    big: Path, connected: Side, isolated: Side, mounter: Launcher
) -> None:
    seen = _on_small_disk(mounter, isolated, "size=4m")
    child = mounter.start(
        isolated, "import", big, fault=Fault(signal.SIGSTOP, before="^open .*weights")
    ).stopped()
    filler = seen.bentoml / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass

    ended = child.go_on().end()
    filler.unlink()

    _expect_storage_error(ended)
    assert "No space left" in ended.err
    assert store_invariants.items(seen) == {}
    assert mounter.run(isolated, "import", big).code == 0
    assert store_invariants.items(seen) == store_invariants.items(connected)


def test_many_small_files_that_need_more_than_their_bytes_leave_the_store_as_it_was(
    connected: Side, isolated: Side, site: Site, mounter: Launcher, tmp_path: Path
) -> None:
    stores.add_model(connected, "many:v1", {f"{number}": b"small" for number in range(200)})
    depot = _export(connected, site, tmp_path / "depot", "--model", "many:v1")
    seen = _on_small_disk(mounter, isolated, "size=512k")

    _expect_storage_error(mounter.run(isolated, "import", depot))

    assert store_invariants.items(seen) == {}
    mounter.mount(isolated.bentoml, "-o", "remount,size=4m")
    assert mounter.run(isolated, "import", depot).code == 0
    assert store_invariants.items(seen) == store_invariants.items(connected)


@FORMS
def test_an_export_onto_a_full_disk_leaves_nothing_incomplete(
    form: str, small: Side, site: Site, mounter: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mounter.mount(out, "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    export = ("export", "shop:v1", "-o", out / form, "--key", site.key())

    _expect_storage_error(mounter.run(small, *export))

    assert not [path for path in mounter.view(out).rglob("*") if path.is_file()]
    mounter.mount(out, "-o", "remount,size=4m")
    assert mounter.run(small, *export).code == 0


@pytest.mark.parametrize("name", interruptions.SCENARIOS)
def test_a_disk_that_is_full_from_any_step_of_an_import_on_leaves_whole_items(
    name: str, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make(name, tmp_path / "made", site)
    for step in range(0, 200, 4):
        side = scenario.begin(tmp_path / "side")
        ended = launcher.run(side, *scenario.arguments, fault=Fault(at=step, full=True))
        if ended.code == 0:
            break
        _expect_storage_error(ended)
        scenario.expect_whole(side, f"a disk full from step {step} on")
        scenario.expect_finished(side, f"a disk full from step {step} on")
        shutil.rmtree(side.top)

    assert step > 20


@FORMS
def test_a_disk_that_is_full_from_any_step_of_an_export_on_leaves_nothing_incomplete(
    form: str, small: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export = ("export", "shop:v1", "-o", out / form, "--key", site.key(), "--jobs", "1")
    assert small.run(*export).code == 0
    after = store_invariants.content(out)
    for step in range(0, 100, 2):
        shutil.rmtree(out)
        out.mkdir()
        ended = launcher.run(small, *export, fault=Fault(at=step, full=True))
        if ended.code == 0:
            break
        _expect_storage_error(ended)
        there = store_invariants.content(out)
        if form != "depot":  # of a file, a part stays for the next run
            there = {path: what for path, what in there.items() if not path.endswith(".part")}
        assert there.items() <= after.items(), f"step {step}"
        assert not [path for path in there if path.endswith(("manifest.msgpack", ".airgap"))]

    assert step > 3


def test_a_limit_on_file_sizes_is_told_and_leaves_the_store_as_it_was(
    depot: Path, isolated: Side, launcher: Launcher
) -> None:
    ended = launcher.run(isolated, "import", depot, largest_file=390_000)

    _expect_storage_error(ended)
    assert "File too large" in ended.err
    assert store_invariants.items(isolated) == {}


@FORMS
def test_a_limit_on_file_sizes_leaves_no_incomplete_export(
    form: str, small: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export = ("export", "shop:v1", "-o", out / form, "--key", site.key())

    _expect_storage_error(launcher.run(small, *export, largest_file=390_000))

    left = [path for path in out.rglob("*") if path.is_file()]
    assert all(path.suffix == ".part" for path in left)
    assert not left or form != "depot"


def test_a_read_only_store_is_told(depot: Path, isolated: Side, mounter: Launcher) -> None:
    seen = _on_small_disk(mounter, isolated, "size=4m")
    mounter.mount(isolated.bentoml, "-o", "remount,ro")

    ended = mounter.run(isolated, "import", depot)

    _expect_storage_error(ended)
    assert "Read-only file system" in ended.err
    assert not [*seen.bentoml.iterdir()]


def test_an_export_needs_no_right_to_write_into_the_store(
    small: Side, site: Site, mounter: Launcher, tmp_path: Path
) -> None:
    mounter.mount(small.bentoml, "--bind", small.bentoml)
    mounter.mount(small.bentoml, "-o", "remount,bind,ro")

    ended = mounter.run(small, "export", "shop:v1", "-o", tmp_path / "out", "--key", site.key())

    assert ended.code == 0, ended.err


def test_an_import_needs_no_right_to_write_onto_the_medium(
    depot: Path, isolated: Side, mounter: Launcher
) -> None:
    mounter.mount(depot, "--bind", depot)
    mounter.mount(depot, "-o", "remount,bind,ro")

    assert mounter.run(isolated, "import", depot).code == 0


def test_a_store_that_one_may_not_write_is_told(
    depot: Path, isolated: Side, launcher: Launcher
) -> None:
    isolated.bentoml.mkdir()
    isolated.bentoml.chmod(0o555)

    ended = launcher.run(isolated, "import", depot, powerless=True)

    _expect_storage_error(ended)
    assert "Permission denied" in ended.err
    assert not [*isolated.bentoml.iterdir()]


@FORMS
def test_a_destination_that_one_may_not_write_is_told(
    form: str, small: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    export = ("export", "shop:v1", "-o", out / form, "--key", site.key())

    _expect_storage_error(launcher.run(small, *export, powerless=True))

    assert not [*out.iterdir()]


def test_a_file_that_one_may_not_read_ends_the_export(
    small: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    (small.bentoml / "models/ranker/v1/weights.bin").chmod(0)
    export = ("export", "shop:v1", "-o", tmp_path / "out", "--key", site.key())

    _expect_storage_error(launcher.run(small, *export, powerless=True))

    assert not [*tmp_path.glob("out/bundles/*")]


def test_an_item_with_folders_closed_to_writing_is_replaced_and_removed(
    depot: Path, small: Side, isolated: Side, launcher: Launcher
) -> None:
    old = stores.add_model(isolated, "ranker:v1", {"closed/x": b"old", "closed/more/y": b"old"})
    (old / "closed" / "more").chmod(0o555)
    (old / "closed").chmod(0o555)

    ended = launcher.run(isolated, "import", depot, "--replace", powerless=True)

    assert ended.code == 0, ended.err
    assert store_invariants.items(isolated) == store_invariants.items(small)
    assert not store_invariants.left_over(isolated)


def _export(sender: Side, site: Site, depot: Path, *what: str) -> Path:
    assert sender.run("export", *what, "-o", depot, "--key", site.key()).code == 0
    return depot


def _on_small_disk(mounter: Launcher, side: Side, size: str) -> Side:
    """Put a side's BentoML home on a disk of its own; return the side as seen from here."""
    side.bentoml.mkdir()
    mounter.mount(side.bentoml, "-t", "tmpfs", "-o", size, "tmpfs")
    return Side(mounter.view(side.top))


def _expect_storage_error(ended: Ended) -> None:
    assert ended.code == 15, f"exit {ended.code}: {ended.err}"
    assert "Traceback" not in ended.err
