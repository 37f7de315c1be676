"""Which disks keep file times that can be relied on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from airgap.disk.file_state import FileState, is_fixed_disk
from airgap.disk.mounts import Mount

SECOND = 10**9


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., None]:
    """Return a function that lays out a disk as Linux shows it below /sys."""

    def make(number: str, path: str, *, removable: str = "0", parts: tuple[str, ...] = ()) -> None:
        folder = tmp_path / "devices" / path
        folder.mkdir(parents=True)
        disk = folder
        if folder.name[-1].isdecimal() and "virtual" not in path:
            (folder / "partition").write_text("1\n")
            disk = folder.parent
        (disk / "removable").write_text(f"{removable}\n")
        if parts:
            (folder / "slaves").mkdir()
        for part in parts:
            (folder / "slaves" / part).symlink_to((tmp_path / "block" / part).resolve())
        (tmp_path / "block").mkdir(exist_ok=True)
        (tmp_path / "block" / number).symlink_to(folder)

    return make


def ask(top: Path, number: str = "8:1", *, kind: str = "ext4") -> bool:
    return is_fixed_disk(Mount(1, number, "/", kind, "/dev/none"), top / "block")


def test_a_partition_of_a_disk_in_the_machine_is_fixed(
    add: Callable[..., None], tmp_path: Path
) -> None:
    add("8:1", "pci0000:00/ata1/block/sda/sda1")

    assert ask(tmp_path)


@pytest.mark.parametrize(
    ("path", "removable"),
    [
        ("pci0000:00/ata1/block/sdb/sdb1", "1"),
        ("pci0000:00/usb2/2-1/block/sdb/sdb1", "0"),
        ("platform/mmc_host/mmc0/block/mmcblk0/mmcblk0p1", "0"),
        ("virtual/block/loop3", "0"),
        ("virtual/block/nbd0", "0"),
    ],
)
def test_what_may_leave_or_be_prepared_by_others_is_not(
    add: Callable[..., None], tmp_path: Path, path: str, removable: str
) -> None:
    add("8:1", path, removable=removable)

    assert not ask(tmp_path)


@pytest.mark.parametrize("kind", ["tmpfs", "nfs4", "vfat", "exfat", "fuse.sshfs", "overlay", "zfs"])
def test_only_file_systems_with_exact_times_count(
    add: Callable[..., None], tmp_path: Path, kind: str
) -> None:
    add("8:1", "pci0000:00/ata1/block/sda/sda1")

    assert not ask(tmp_path, kind=kind)


@pytest.mark.parametrize(("path", "fixed"), [("ata1/block/sda", True), ("usb1/block/sda", False)])
def test_an_encrypted_disk_is_as_the_disk_below_it(
    add: Callable[..., None], tmp_path: Path, path: str, *, fixed: bool
) -> None:
    add("8:0", f"pci0000:00/{path}")
    add("253:0", "virtual/block/dm-0", parts=("8:0",))

    assert ask(tmp_path, "253:0") is fixed


def test_what_the_system_does_not_tell_is_not(tmp_path: Path) -> None:
    assert not ask(tmp_path, "9:9")
    assert not ask(tmp_path, "0:44", kind="btrfs")


@pytest.mark.parametrize(
    ("changed", "settled"),
    [(1_000_000_001, 1_020_000_002), (1_000_000_000, 3_000_000_001)],
    ids=["fine", "whole seconds"],
)
def test_a_change_shows_after_the_grain_of_the_clock(changed: int, settled: int) -> None:
    state = FileState(1, 2, 3, 0, changed)

    assert not state.is_settled(settled - 1)
    assert state.is_settled(settled)
    assert not state.is_settled(changed - SECOND)
