"""What an import will do with each item, before anything is written (format §11 step 4)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from airgap.disk.space import measure_block, round_up
from airgap.errors import ConflictError, StorageError
from airgap.flow.disk_use import DiskUse
from airgap.flow.progress import Progress
from airgap.format.inventory import Item
from airgap.state.digest_cache import NO_CACHE, DigestCache
from airgap.store import compare
from airgap.store.health import find_existing
from airgap.store.install_paths import InstallPath
from airgap.store.kinds import install_path
from airgap.store.staging import StagedItem, measure_disk_usage, staging_folder
from airgap.store.volume_progress import VolumeProgress

__all__ = ["ItemPlan", "Outcome", "Plan", "demand_one_disk", "find_uses", "plan_items"]

Outcome = Literal["installed", "replaced", "already there", "would install", "would replace"]

_ITEM_BLOCKS: Final = 8
"""The folders above an item in staging and in its store, and what `latest` says."""
_STATE_BLOCKS: Final = 8
"""The entry of the ledger, and folders."""


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


def plan_items(
    items: Sequence[Item],
    bundle: str,
    *,
    replace: bool,
    progress: Progress,
    cache: DigestCache = NO_CACHE,
) -> Plan:
    """Compare each item with what is installed; of that, only what may have changed is read.

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
            differences = list(compare.find_differences(item, target, cache.digest))
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


def find_uses(plan: Plan, record: Path, recorded: int) -> Iterator[DiskUse]:
    """Yield what an import will have on the disk beside what an earlier try has left in staging.

    Items are renamed into place: they take no more room there. An item that is replaced stays until
    the end.

    Args:
        plan: of the import.
        record: the folder of airgap's own state.
        recorded: the bytes that will be kept there.
    """
    targets = {item.target.store: item.target for item in plan.staged}
    for store, target in targets.items():
        block = measure_block(find_existing(store))
        items = [staged.item for staged in plan.staged if staged.target.store == store]
        size = sum(_measure_item(item, block) for item in items)
        size += measure_disk_usage(VolumeProgress(target, plan.bundle).recovery)
        size -= measure_disk_usage(staging_folder(target, plan.bundle))
        yield DiskUse("staging", store, size)
        yield DiskUse("installing", store, size)
    if targets:
        block = measure_block(find_existing(record))
        yield DiskUse("installing", record, round_up(recorded, block) + _STATE_BLOCKS * block)


def _measure_item(item: Item, block: int) -> int:
    """Return the bytes that an item takes in whole blocks, with its folders and those above it."""
    folders = {path.rpartition("/")[0] for path in (entry.path for entry in item.entries)}
    files = sum(round_up(file.size, block) for file in item.files)
    return files + (len(folders) + _ITEM_BLOCKS) * block
