"""Volumes on the file systems that real media have."""

import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from airgap.errors import MissingError, StorageError
from tests.support import mounts, sides, volumes
from tests.support.sides import Side, Site
from tests.support.volumes import Discs

pytestmark = pytest.mark.servers

Mount = Callable[[Path, Path], AbstractContextManager[Path]]


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Side:
    side = Side(tmp_path_factory.mktemp("sender"))
    volumes.fill(side)
    return side


@pytest.fixture(scope="module")
def bundle(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depot with parity."""
    folder = tmp_path_factory.mktemp("depot")
    words = ("export", "shop:v1", "-o", folder, "--parity", "10%", "--key", site.key())
    assert sender.run(*words).code == 0
    return folder


@pytest.fixture(scope="module")
def pressed(sender: Side, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Discs:
    return volumes.burn(sender, site, tmp_path_factory.mktemp("pressed"), "--parity", "20%")


@pytest.mark.parametrize("mount", [mounts.fat32, mounts.exfat], ids=["FAT32", "exFAT"])
def test_a_stick_is_filled_read_back_and_imported(
    mount: Mount, bundle: Path, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    image, folder = tmp_path / "stick.img", tmp_path / "stick"
    with mount(image, folder):
        ran = connected.run("split", bundle, "--verify-after-write", "--volumes", folder)
        assert ran.code == 0, ran.err
        assert "read back from the media" in ran.out

    with mount(image, folder):
        ran = isolated.run("import", folder)

    assert ran.code == 0, ran.err
    assert volumes.installed(isolated) == volumes.everything()


def test_sticks_are_filled_in_turn_and_a_full_one_is_not_overfilled(
    bundle: Path, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    small, large = tmp_path / "a.img", tmp_path / "b.img"
    plain = tmp_path / "plain"
    shutil.copytree(bundle, plain)
    next(plain.rglob("parity.msgpack")).unlink()
    with (
        mounts.exfat(small, tmp_path / "a") as first,
        mounts.exfat(large, tmp_path / "b") as second,
    ):
        free = shutil.disk_usage(first).free
        (first / "holiday.jpg").write_bytes(bytes(free - 1_900_000))
        ran = connected.run("split", plain, "--volumes", first, second, "--json")
        assert ran.code == 0, ran.err
        assert [Path(one) for one in ran.json["volumes"]] == [first, second]
        assert all(ran.json["packs"])
        assert isolated.run("import", second).code == MissingError.exit_code
        ran = isolated.run("import", first)
        assert ran.code == 0, ran.err
        assert (first / "holiday.jpg").stat().st_size == free - 1_900_000


def test_discs_are_mastered_and_imported_one_by_one(
    pressed: Discs, isolated: Side, tmp_path: Path
) -> None:
    codes = []
    for number, folder in enumerate(pressed.folders):
        image = tmp_path / f"{number}.iso"
        mounts.master(folder, image)
        with mounts.iso(image, tmp_path / "disc") as disc:
            codes.append(isolated.run("import", disc).code)
            if codes[-1] == 0:
                break

    assert codes[-1] == 0
    assert set(codes[:-1]) <= {MissingError.exit_code}
    assert volumes.installed(isolated) == volumes.everything()


def test_every_name_is_whole_on_a_disc_for_every_system(pressed: Discs, tmp_path: Path) -> None:
    mounts.demand("isoinfo")
    mounts.master(pressed.folders[0], tmp_path / "disc.iso")
    expected = {
        f"/{path.relative_to(pressed.folders[0]).as_posix()}"
        for path in pressed.folders[0].rglob("*")
    }
    for tree in ("-J", "-R"):  # Windows and macOS; Linux
        words = ["isoinfo", tree, "-f", "-i", tmp_path / "disc.iso"]
        listed = subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=120
        ).stdout
        assert set(listed.split()) == expected


def test_a_medium_that_nobody_can_write_to_is_imported_and_repaired_elsewhere(
    bundle: Path, connected: Side, isolated: Side, tmp_path: Path
) -> None:
    scratched = tmp_path / "scratched"
    shutil.copytree(bundle, scratched)
    volumes.scratch(max(scratched.rglob("*.pack"), key=lambda path: path.stat().st_size))
    with mounts.read_only(scratched, tmp_path / "image", tmp_path / "mnt") as medium:
        assert isolated.run("verify", medium).code == 0
        assert isolated.run("import", medium).code == 0

        refused = connected.run("repair", medium)
        assert refused.code == StorageError.exit_code
        assert "Mount it for writing" in refused.err

        ran = connected.run("repair", medium, "-o", tmp_path / "whole")
        assert ran.code == 0, ran.err
    assert isolated.run("verify", tmp_path / "whole").code == 0


def test_a_medium_that_is_too_small_is_refused_before_anything_is_written(
    bundle: Path, connected: Side, tmp_path: Path
) -> None:
    with mounts.tmpfs(tmp_path / "mnt", 1_000_000) as medium:
        ran = connected.run("split", bundle, "--volumes", medium)

        assert ran.code == StorageError.exit_code
        assert not list(medium.iterdir())


def test_a_medium_that_fills_up_while_it_is_written_costs_nothing_but_time(
    bundle: Path, connected: Side, isolated: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounts.tmpfs(tmp_path / "mnt", 400_000) as medium:
        with monkeypatch.context() as patch:
            patch.setattr("airgap.flow.media.split.measure_free_space", lambda _: [10**9])
            ran = connected.run("split", bundle, "--volumes", medium)
        assert ran.code == StorageError.exit_code
        assert not list(medium.rglob("manifest.msgpack"))
        assert not list(medium.rglob("*.part"))

        subprocess.run(["mount", "-o", "remount,size=9m", medium], check=True, timeout=120)
        ran = connected.run("split", bundle, "--volumes", medium, "--verify-after-write")
        assert ran.code == 0, ran.err
        assert isolated.run("import", medium).code == 0


def test_an_isolated_disk_that_is_full_keeps_what_it_has_for_the_next_volume(
    pressed: Discs, site: Site, tmp_path: Path
) -> None:
    with mounts.tmpfs(tmp_path / "mnt", 1_500_000) as disk:
        side = Side(disk)
        sides.trust(side, site)
        codes = {side.run("import", one).code for one in pressed.folders[:5]}
        (disk / "filler").write_bytes(bytes(max(shutil.disk_usage(disk).free - 40_000, 0)))
        ran = side.run("import", *pressed.folders)
        assert ran.code == StorageError.exit_code
        assert not volumes.installed(side)
        (disk / "filler").unlink()

        ran = side.run("import", *pressed.folders)

        assert codes <= {MissingError.exit_code, StorageError.exit_code}
        assert ran.code == 0, ran.err
        assert volumes.installed(side) == volumes.everything()
