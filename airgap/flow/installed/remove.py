"""``airgap remove`` and ``airgap prune``: remove installed items that nothing here needs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from time import time
from typing import Any

from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, ConflictError, MissingError, UsageError
from airgap.flow.importing.install_bundle import lock_stores
from airgap.flow.installed.dependents import find_dependents, find_used
from airgap.flow.installed.item_name import ItemName
from airgap.flow.installed.list_items import list_installed
from airgap.flow.installed.remembered import Remembered, load_remembered
from airgap.flow.progress import Progress
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, WHEELHOUSE
from airgap.printable import list_some
from airgap.state import installed_manifests, removals
from airgap.state.state_folder import state_folder
from airgap.store.environments import list_environments
from airgap.store.in_use import hold_alone
from airgap.store.kinds import find_kind, list_kinds
from airgap.store.latest import read_latest
from airgap.store.remove_item import finish_removals, list_leftovers, remove_item
from airgap.store.source_tree import find_files
from airgap.store.staging import measure_disk_usage
from airgap.times import format_time

__all__ = [
    "KeptItem",
    "PlannedRemoval",
    "RemovalPlan",
    "describe_plan",
    "plan_prune",
    "plan_removal",
    "remove_planned",
]


@dataclass(frozen=True, slots=True)
class PlannedRemoval:
    """An item that is to be removed, with the bytes that it occupies on the disk.

    ``imported`` tells whether airgap imported it.
    """

    item: ItemName
    size: int
    imported: bool


@dataclass(frozen=True, slots=True)
class KeptItem:
    """An item that nothing here needs, and why it stays."""

    item: ItemName
    reason: str


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """What is to be removed, Bentos first: at no moment does a Bento lack what it needs.

    ``notes`` say what remains of use by others. ``is_forced``: also what is needed or in use goes.
    """

    removals: tuple[PlannedRemoval, ...]
    kept: tuple[KeptItem, ...] = ()
    notes: tuple[str, ...] = ()
    is_forced: bool = False


def plan_removal(names: Sequence[ItemName], *, force: bool) -> RemovalPlan:
    """Plan to remove the items that a person names, each with its version.

    Args:
        names: what to remove.
        force: whether to remove what a Bento or an environment here needs.

    Raises:
        UsageError: a name has no version, or fits items of several kinds.
        MissingError: an item is not here.
        ConflictError: something here needs an item, and ``force`` was not asked for.
        StorageError: a ledger or an environment cannot be read.
    """
    remembered = load_remembered()
    stored = list(list_installed(remembered))
    interrupted = set(_list_interrupted())
    chosen = dict.fromkeys(
        item for name in names for item in _find_named(name, stored, interrupted)
    )
    bentos = frozenset(item for item in stored if item.kind == BENTO.name and item not in chosen)
    dependents = {**find_dependents(remembered, bentos), **find_used()}
    needed = [
        f"{item} is needed by {', '.join(dependents[item])}"
        for item in chosen
        if item in dependents
    ]
    if needed and not force:
        raise ConflictError(
            f"{needed[0]}.",
            "Nothing was removed. Remove what needs it too, or give --force.",
            needed if len(needed) > 1 else (),
        )
    return replace(_make_plan(chosen, remembered), is_forced=force)


def plan_prune(keep: int | None, *, standalone: bool) -> RemovalPlan:
    """Plan to remove what nothing here needs, of what airgap imported.

    Args:
        keep: how many versions of each Bento stay, the newest ones; None: all.
        standalone: whether to remove items that came in a bundle without a Bento, too: people use
            them without a Bento.

    Raises:
        StorageError: a ledger or an environment cannot be read.
    """
    remembered = load_remembered()
    stored = list(list_installed(remembered))
    kept: list[KeptItem] = []
    bentos = [item for item in stored if item.kind == BENTO.name]
    old = set(_find_old(bentos, keep, kept)) & remembered.origins.keys()
    dependents = {**find_dependents(remembered, frozenset(bentos) - old), **find_used()}
    chosen = [item for item in bentos if item in old]
    for item in stored:
        if item.kind == BENTO.name or item in dependents or item not in remembered.origins:
            continue
        reason = _find_reason_to_keep(item, remembered, standalone=standalone)
        if reason:
            kept.append(KeptItem(item, reason))
        else:
            chosen.append(item)
    plan = _make_plan(chosen, remembered)
    return RemovalPlan(plan.removals, tuple(kept), plan.notes)


def remove_planned(
    plan: RemovalPlan, make_plan: Callable[[], RemovalPlan], progress: Progress
) -> Mapping[str, Any] | None:
    """Remove what a person has agreed to, under the locks of the stores, as an import has them.

    Returns the event that was recorded (format §21); None if nothing was to be removed.

    Removals that were interrupted are finished first.

    Args:
        plan: what the person has seen.
        make_plan: makes it again, once no import can change what it depends on.
        progress: gets a note if an import must be waited for.

    Raises:
        ConflictError: the plan is another one by now, and nothing was removed; or an environment is
            made from an item since.
        StorageError: the disk refused. Each item is whole or gone; a rerun finishes.
    """
    stores = {kind.store() for kind in list_kinds() if kind.store().is_dir()}
    with lock_stores(stores, progress):
        if make_plan() != plan:
            raise ConflictError(
                "Something was imported or removed meanwhile.",
                "Nothing was removed. Run the same command again, and read what it would remove.",
            )
        for store in sorted(stores):
            finish_removals(store)
        event = _record(plan) if plan.removals else None
        for removal in plan.removals:
            item = removal.item
            kind = find_kind(item.kind)
            final = kind.install_path(item.name, item.version).final
            with nullcontext() if plan.is_forced else hold_alone(final):
                remove_item(kind, item.name, item.version)
        return event


def _record(plan: RemovalPlan) -> Mapping[str, Any]:
    """Note who removes what, before it is gone (format §21).

    Raises:
        StorageError: the disk refused; nothing was removed.
    """
    items = [
        {"kind": item.kind, "tag": f"{item.name}:{item.version}", "outcome": "removed"}
        for item in (removal.item for removal in plan.removals)
    ]
    event = {
        "at": format_time(int(time())),
        "event": "removed",
        "user": removals.find_user(),
        "items": items,
    }
    with translate_errors(state_folder()):
        removals.record_removal(event)
    return event


def _find_named(
    name: ItemName, stored: Sequence[ItemName], interrupted: Iterable[ItemName]
) -> list[ItemName]:
    """Return the item of this name; none if its removal was interrupted. Raises as the caller."""
    if not name.version:
        versions = [f"there is {item}" for item in stored if name.fits(item)]
        raise UsageError(
            f"{name} has no version.", "Name the version to remove.", list_some(versions)
        )
    fitting = [item for item in stored if name.fits(item)]
    if len(fitting) > 1:
        kinds = " or ".join(f"--kind {item.kind}" for item in fitting)
        raise UsageError(
            f"{len(fitting)} items are called {name.name}:{name.version}.",
            f"Say which one: {kinds}.",
            [f"there is {item}" for item in fitting],
        )
    if not fitting and not any(map(name.fits, interrupted)):
        raise MissingError(
            f"{name} is not on this machine.", "See `airgap list` for what is there."
        )
    return fitting


def _list_interrupted() -> Iterator[ItemName]:
    """Yield the items that an interrupted removal has renamed away."""
    for store in {kind.store() for kind in list_kinds()}:
        for kind, name, version in list_leftovers(store):
            yield ItemName(name, version, kind.rules.name)


def _find_old(
    bentos: Sequence[ItemName], keep: int | None, kept: list[KeptItem]
) -> Iterator[ItemName]:
    """Yield the Bentos beyond the newest ``keep`` of each name; append those that stay yet."""
    if keep is None:
        return
    created: dict[ItemName, datetime] = {}
    for bento in bentos:
        try:
            created[bento] = _describe_created(bento)
        except AirgapError:
            kept.append(KeptItem(bento, "it cannot be read, so nobody can tell how old it is"))
    by_name: dict[str, list[ItemName]] = {}
    for bento in sorted(created, key=lambda item: (created[item], item.version), reverse=True):
        by_name.setdefault(bento.name, []).append(bento)
    for name, versions in by_name.items():
        latest = _read_latest(name)
        for bento in versions[keep:]:
            if bento.version == latest:
                kept.append(KeptItem(bento, "`latest` names it"))
            else:
                yield bento


def _describe_created(bento: ItemName) -> datetime:
    kind = find_kind(BENTO.name)
    return kind.describe(kind.install_path(bento.name, bento.version).final).created


def _read_latest(name: str) -> str:
    latest = find_kind(BENTO.name).install_path(name, "x").latest
    return read_latest(latest) if latest else ""


def _find_reason_to_keep(item: ItemName, remembered: Remembered, *, standalone: bool) -> str:
    """Say why an item stays that nothing here needs; empty if it does not."""
    alone = any(
        all(other.kind != BENTO.name for other in remembered.bundles[origin.bundle])
        for origin in remembered.origins[item]
    )
    if alone and not standalone:
        return "it came in a bundle without a Bento (--standalone removes it)"
    target = find_kind(item.kind).install_path(item.name, item.version)
    if target.may_hold_more:
        imported = set(_list_paths(item, remembered))
        foreign = [
            file.path
            for file in find_files(target.final, target.store)
            if file.path not in imported
        ]
        if foreign:
            return f"it holds {foreign[0]!r}, which airgap did not import"
    return ""


def _list_paths(item: ItemName, remembered: Remembered) -> Iterator[str]:
    """Yield the paths of an item that imports brought."""
    for bundle in dict.fromkeys(origin.bundle for origin in remembered.origins[item]):
        manifest = installed_manifests.load_manifest(bundle)
        for carried in manifest.items if manifest else ():
            if _is_same(carried, item):
                yield from (entry.path for entry in carried.entries)


def _is_same(carried: Item, item: ItemName) -> bool:
    return (carried.kind, carried.name, carried.version) == (item.kind, item.name, item.version)


def _make_plan(items: Iterable[ItemName], remembered: Remembered) -> RemovalPlan:
    kinds = [kind.rules.name for kind in list_kinds()]
    ordered = sorted(items, key=lambda item: (kinds.index(item.kind), item.name, item.version))
    removals = tuple(
        PlannedRemoval(
            item,
            measure_disk_usage(find_kind(item.kind).install_path(item.name, item.version).final),
            item in remembered.origins,
        )
        for item in ordered
    )
    return RemovalPlan(removals, notes=tuple(_note_environments(ordered)))


def _note_environments(items: Sequence[ItemName]) -> Iterator[str]:
    """Yield what becomes of the environments that were made from these items."""
    tags = {(item.kind, f"{item.name}:{item.version}") for item in items}
    for environment in list_environments():
        description = environment.description
        if description is None:
            continue
        if (BENTO.name, description.bento) in tags:
            yield (
                f"The environment {environment.folder} of bento {description.bento} stays:"
                f" `airgap env remove {description.bento}` removes it."
            )
        elif (WHEELHOUSE.name, description.wheelhouse) in tags:
            yield (
                f"The environment {environment.folder} was made from wheelhouse"
                f" {description.wheelhouse}. It still works, but cannot be made again."
            )


def describe_plan(plan: RemovalPlan, *, dry_run: bool) -> dict[str, Any]:
    """Describe what was removed, or would be. Sizes in bytes."""
    return {
        "dry_run": dry_run,
        "removed": [
            {**_describe_item(removal.item), "size": removal.size, "imported": removal.imported}
            for removal in plan.removals
        ],
        "kept": [{**_describe_item(kept.item), "reason": kept.reason} for kept in plan.kept],
        "notes": list(plan.notes),
    }


def _describe_item(item: ItemName) -> Mapping[str, str]:
    return {"kind": item.kind, "tag": f"{item.name}:{item.version}"}
