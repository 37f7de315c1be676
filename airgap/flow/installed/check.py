"""``airgap check``: compares what is installed with what was imported, byte for byte."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from airgap.errors import MissingError
from airgap.flow.installed.dependents import find_dependents
from airgap.flow.installed.item_name import ItemName
from airgap.flow.installed.remembered import Remembered, list_imported_bundles, load_remembered
from airgap.flow.progress import Progress
from airgap.format.inventory import File, Item
from airgap.printable import list_some
from airgap.state import installed_manifests
from airgap.store.compare import Difference, list_differences
from airgap.store.install_paths import InstallPath
from airgap.store.kinds import install_path, list_kinds

__all__ = [
    "CheckResult",
    "CheckedItem",
    "Difference",
    "check_installed",
    "describe_check",
    "list_stored",
]

State = Literal["intact", "damaged", "missing", "absent", "not known"]
_DAMAGE: Final = frozenset({"damaged", "missing"})
Imported = tuple[str, Item]
"""The id of a bundle, and an item as it was in it, without its chunks."""


@dataclass(frozen=True, slots=True)
class CheckedItem:
    """What became of an item.

    A ``missing`` one is not here although a Bento of this machine needs it; an ``absent`` one was
    imported and is not needed: it was removed, or left out of its import. ``bundle`` is the one
    that the item equals, or else the last one that brought it.
    """

    item: ItemName
    state: State
    bundle: str = ""
    differences: tuple[Difference, ...] = ()
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """All items that were asked for, and the bytes that were read.

    ``forgotten`` are imported bundles whose manifests are lost: their items are not known.
    ``was_disturbed`` tells that something was imported meanwhile.
    """

    items: tuple[CheckedItem, ...]
    bytes_read: int
    forgotten: tuple[str, ...]
    was_disturbed: bool = False

    @property
    def is_damaged(self) -> bool:
        """Whether anything is damaged or missing."""
        return any(item.state in _DAMAGE for item in self.items)


def check_installed(names: Sequence[ItemName], progress: Progress) -> CheckResult:
    """Read every installed item, or those that are named, and compare them.

    Nothing is written and no lock is held: an import may run meanwhile.

    Raises:
        MissingError: nothing here has such a name, and nothing of it was imported.
        StorageError: a ledger cannot be read.
    """
    remembered = load_remembered()
    imported = list_imported_bundles()
    stored = list_stored()
    chosen = _choose(names, [*stored, *(name for name in remembered.origins)])
    present = frozenset(stored) & chosen
    variants = _load_items(remembered, present)
    sizes = [max(item.size for _, item in found) for found in variants.values()]
    bytes_read = 0
    progress.begin("checking", sum(sizes))
    try:

        def advance(count: int) -> None:
            nonlocal bytes_read
            bytes_read += count
            progress.advance(count)

        checked = {}
        for name, found in variants.items():
            progress.name_item(str(name))
            checked[name] = _check_item(name, found, install_path(found[0][1]), advance)
    finally:
        progress.end()
    dependents = find_dependents(remembered) if len(present) < len(chosen) else {}
    items = tuple(
        checked.get(name) or _judge_unread(name, remembered, dependents, is_here=name in present)
        for name in sorted(chosen, key=_rank)
    )
    disturbed = list_imported_bundles() != imported
    return CheckResult(items, bytes_read, remembered.forgotten, disturbed)


def list_stored() -> list[ItemName]:
    """Return every item in this machine's stores, also those of other programs."""
    return [
        ItemName(*tag, kind.rules.name) for kind in list_kinds() for tag in kind.list_installed()
    ]


def describe_check(result: CheckResult) -> dict[str, Any]:
    """Describe a check for JSON. Digests in hex."""
    return {
        "damaged": result.is_damaged,
        "bytes_read": result.bytes_read,
        "items": [_describe(item) for item in result.items],
        "forgotten": list(result.forgotten),
        "disturbed": result.was_disturbed,
    }


def _describe(checked: CheckedItem) -> dict[str, Any]:
    item = checked.item
    return {
        "kind": item.kind,
        "tag": f"{item.name}:{item.version}",
        "state": checked.state,
        "bundle": checked.bundle or None,
        "needed_by": list(checked.needed_by),
        "differences": [
            {
                "path": difference.path,
                "state": difference.state,
                "problem": difference.problem,
                "expected": difference.expected.hex() if difference.expected else None,
                "actual": difference.actual.hex() if difference.actual else None,
            }
            for difference in checked.differences
        ],
    }


def _choose(names: Sequence[ItemName], candidates: Sequence[ItemName]) -> frozenset[ItemName]:
    """Return the items that are named; all if none is. Raises MissingError."""
    if not names:
        return frozenset(candidates)
    chosen: set[ItemName] = set()
    for name in names:
        fitting = {candidate for candidate in candidates if name.fits(candidate)}
        if not fitting:
            there = sorted({str(other) for other in candidates})
            raise MissingError(
                f"{name} is not on this machine, and was not imported.",
                "See `airgap list` for what is there.",
                list_some([f"there is {other}" for other in there]),
            )
        chosen |= fitting
    return frozenset(chosen)


def _rank(name: ItemName) -> tuple[int, str, str]:
    kinds = [kind.rules.name for kind in list_kinds()]
    return kinds.index(name.kind), name.name, name.version


def _load_items(
    remembered: Remembered, names: frozenset[ItemName]
) -> Mapping[ItemName, list[Imported]]:
    """Load the items with their files: of each, every content that was imported, newest first.

    Each manifest is decoded once, and its chunks are dropped, for there are many.
    """
    wanted: dict[str, set[ItemName]] = {}
    for name in names:
        digests: set[bytes] = set()
        for origin in remembered.origins.get(name, ()):
            if origin.digest not in digests:
                wanted.setdefault(origin.bundle, set()).add(name)
                digests.add(origin.digest)
    loaded: dict[ItemName, list[Imported]] = {}
    for bundle in remembered.bundles:
        manifest = installed_manifests.load_manifest(bundle) if bundle in wanted else None
        for item in manifest.items if manifest else ():
            name = ItemName(item.name, item.version, item.kind)
            if name in wanted[bundle]:
                loaded.setdefault(name, []).append((bundle, _drop_chunks(item)))
    return dict(sorted(loaded.items(), key=lambda pair: _rank(pair[0])))


def _drop_chunks(item: Item) -> Item:
    entries = (
        entry._replace(chunks=()) if isinstance(entry, File) else entry for entry in item.entries
    )
    return replace(item, entries=tuple(entries))


def _check_item(
    name: ItemName,
    imported: Sequence[Imported],
    target: InstallPath,
    advance: Callable[[int], None],
) -> CheckedItem:
    """Compare an installed item with what was imported under its name."""
    if target.may_hold_more:
        imported = [_merge(imported)]
    compare = partial(list_differences, target=target, advance=advance)
    newest: tuple[Difference, ...] = ()
    for bundle, item in imported:
        differences = tuple(compare(item))
        if not differences:
            return CheckedItem(name, "intact", bundle)
        newest = newest or differences
    return CheckedItem(name, "damaged", imported[0][0], newest)


def _merge(imported: Sequence[Imported]) -> Imported:
    """Return a snapshot with the files of all imports: each brought what its Bentos take."""
    bundle, newest = imported[0]
    entries = {entry.path: entry for _, item in reversed(imported) for entry in item.entries}
    return bundle, replace(newest, entries=tuple(entries[path] for path in sorted(entries)))


def _judge_unread(
    name: ItemName,
    remembered: Remembered,
    dependents: Mapping[ItemName, tuple[str, ...]],
    *,
    is_here: bool,
) -> CheckedItem:
    """Say of an item that is not here, or was never imported, what that means."""
    origins = remembered.origins.get(name, ())
    if is_here:
        return CheckedItem(name, "not known")
    needed_by = dependents.get(name, ())
    return CheckedItem(
        name, "missing" if needed_by else "absent", origins[0].bundle, needed_by=needed_by
    )
