"""Power cuts: what an operating system may forget is synced before anything relies on it.

Not by cutting power, but by following the write steps of an undisturbed run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import pytest

from tests.support import interruptions
from tests.support.faults import Launcher
from tests.support.sides import Side, Site

CACHES = frozenset({"nodes", "offsets"})
"""Files beside a ledger that are made again where they are lost (format §28.8)."""


@dataclass
class Disk:
    """Which files have unsynced bytes, and which folders unsynced entries."""

    forgettable: set[PurePath] = field(default_factory=set)

    def follow(self, steps: Sequence[str]) -> Iterator[PurePath]:
        """Take the steps, stopping before each rename into place; yield what is renamed."""
        for step in steps:
            verb, _, rest = step.partition(" ")
            *_, path = paths = [PurePath(one) for one in rest.split(" -> ")]
            if path.name in CACHES and {"ledgers", "sites"} & {*path.parts}:
                continue
            if verb in ("rename", "exchange") and ".airgap" not in path.parts:
                yield paths[0]
            if verb == "syncfs":
                self.forgettable.clear()
            elif verb == "fsync":
                self.forgettable.discard(path)
            elif verb in ("write", "pwrite", "truncate", "chmod", "reserve"):
                self.forgettable.add(path)
            elif verb in ("mkdir", "open", "rename", "symlink", "link"):
                self.forgettable.add(path.parent)

    def outside_staging(self) -> set[PurePath]:
        return {path for path in self.forgettable if ".airgap" not in path.parts}


@pytest.mark.parametrize("name", interruptions.SCENARIOS)
def test_an_import_syncs_what_it_renames_and_each_rename_before_the_next(
    name: str, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    scenario = interruptions.make(name, tmp_path / "made", site)
    ended = launcher.run(scenario.begin(tmp_path / "side"), *scenario.arguments)

    disk = Disk()
    renamed = 0
    for source in disk.follow(ended.steps):
        renamed += 1
        lost = {one for one in disk.forgettable if one.is_relative_to(source)}
        assert not lost, f"{source} is renamed"
        assert not _folders_of_items(disk), f"{source} is renamed"

    assert renamed >= 2
    assert not disk.outside_staging()


@pytest.mark.parametrize("form", ["depot", "shop.airgap"])
def test_an_export_syncs_what_it_renames_and_all_of_it_before_the_manifest(
    form: str, small: Side, site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / form
    ended = launcher.run(small, "export", "shop:v1", "-o", out, "--key", site.key())

    disk, last, before = Disk(), PurePath(), set[PurePath]()
    for source in disk.follow(ended.steps):
        assert source not in disk.forgettable, f"{source} is renamed"
        if form in source.parts[0]:
            last, before = source, set(disk.forgettable)

    assert before == {last.parent}, "its own folder, which has the new part in it"
    assert not disk.forgettable


def test_an_export_syncs_packs_that_it_finds_whole(
    small: Side, depot: Path, site: Site, launcher: Launcher
) -> None:
    ended = launcher.run(small, "export", "shop:v1", "-o", depot, "--key", site.key())

    packs = [*depot.rglob("*.pack")]
    synced = {depot.parent / step.split()[1] for step in ended.steps if step.startswith("fsync ")}
    assert {*packs, *(pack.parent for pack in packs)} <= synced


def _folders_of_items(disk: Disk) -> set[PurePath]:
    """Return folders below the stores with entries that are not synced yet."""
    return {
        path for path in disk.outside_staging() if {"bentos", "models", "snapshots"} & {*path.parts}
    }
