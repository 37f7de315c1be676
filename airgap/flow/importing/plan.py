"""What an import will do with each item, before anything is written (format §11 step 4)."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airgap.disk.space import measure_free
from airgap.errors import ConflictError, StorageError
from airgap.flow.progress import Progress
from airgap.format.inventory import Item
from airgap.store import compare
from airgap.store.health import find_existing
from airgap.store.install_paths import InstallPath
from airgap.store.kinds import install_path
from airgap.store.staging import StagedItem, measure_disk_usage, staging_folder
from airgap.store.volume_progress import VolumeProgress

__all__ = ["ItemPlan", "Outcome", "Plan", "demand_one_disk", "demand_space", "plan_items"]

Outcome = Literal["installed", "replaced", "already there", "would install", "would replace"]


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """What an import will do with one item."""

    item: Item
    target: InstallPath
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import of a bundle will do with its items, in item order."""

    bundle: str
    items: tuple[ItemPlan, ...]
    staged: tuple[StagedItem, ...]
    """The items that are to be written."""
    interrupted: tuple[StagedItem, ...]
    """Installed items whose ``latest`` may not be written: an earlier try was killed there."""

    @property
    def changes_stores(self) -> bool:
        """Whether the stores will be written."""
        return bool(self.staged or self.interrupted)


def plan_items(items: Sequence[Item], bundle: str, *, replace: bool, progress: Progress) -> Plan:
    """Compare each item with what is installed.

    Raises:
        ConflictError: items are installed with other content, all of which are named, and
            ``replace`` was not asked for.
    """
    plans: list[ItemPlan] = []
    conflicts: list[str] = []
    for item in items:
        target = install_path(item)
        outcome: Outcome = "installed"
        if os.path.lexists(target.final):
            progress.note(f"Comparing {item} with what is installed.")
            differences = list(compare.find_differences(item, target))
            if differences:
                outcome = "replaced"
                conflicts += [f"{item}: {difference}" for difference in differences]
            elif not compare.has_missing_files(item, target):
                outcome = "already there"
        plans.append(ItemPlan(item, target, outcome))
    if conflicts and not replace:
        names = ", ".join(str(plan.item) for plan in plans if plan.outcome == "replaced")
        raise ConflictError(
            f"Already installed with different content: {names}.",
            "Nothing was changed. Keep what is installed, or import again with --replace.",
            conflicts,
        )
    staged = [plan for plan in plans if plan.outcome != "already there"]
    installed = [plan for plan in plans if plan.outcome == "already there"]
    return Plan(
        bundle,
        tuple(plans),
        tuple(StagedItem(plan.item, plan.target, bundle) for plan in staged),
        tuple(
            item
            for item in (StagedItem(plan.item, plan.target, bundle) for plan in installed)
            if item.was_cut_off()
        ),
    )


def demand_one_disk(plan: Plan) -> None:
    """Refuse before anything is written when an item cannot be renamed from staging into place.

    Raises:
        StorageError: it would go to another file system than that of its store.
    """
    for staged in plan.staged:
        store, final = staged.target.store, staged.target.final
        folder = find_existing(final.parent)
        if folder.stat().st_dev != find_existing(store).stat().st_dev:
            raise StorageError(
                f"{folder} is on another file system than {store}, from which items are renamed"
                " into it.",
                f"Put the whole store on one file system: move {store} there, and make it a link.",
            )


def demand_space(plan: Plan) -> None:
    """Refuse before anything is written when a disk is too small for the staged items.

    Raises:
        StorageError: it is.
    """
    needed: dict[int, int] = defaultdict(int)
    folders: dict[int, Path] = {}
    for target in {item.target.store: item.target for item in plan.staged}.values():
        folder = find_existing(target.store)
        device = folder.stat().st_dev
        folders[device] = folder
        needed[device] -= measure_disk_usage(staging_folder(target, plan.bundle))
        needed[device] += measure_disk_usage(VolumeProgress(target, plan.bundle).recovery)
        needed[device] += sum(
            staged.item.size for staged in plan.staged if staged.target.store == target.store
        )
    for device, size in needed.items():
        free = measure_free(folders[device])
        if free is not None and size > free:
            raise StorageError(
                f"{folders[device]} needs {size:,} bytes more and has {free:,} free.",
                f"Free {size - free:,} bytes and run the same command again.",
            )
