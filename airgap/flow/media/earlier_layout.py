"""How an earlier run has spread a bundle over the same media, as the volumes there claim."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from airgap.carrier.local_depot import DepotReader
from airgap.disk.digests import has_digest
from airgap.errors import AirgapError
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import Draft, measure_longest
from airgap.flow.media.plan import Part, cost
from airgap.flow.media.volumes import read_labels
from airgap.format import layout
from airgap.format.manifest import Pack
from airgap.format.parity import Group

__all__ = ["EarlierLayout", "find_layout", "has_parity", "holds_volume", "measure_beside_packs"]

_LABEL: Final = layout.label_name("").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class EarlierLayout:
    """The folders in the order of their volumes, and what is on each."""

    folders: tuple[Path, ...]
    parts: tuple[Part, ...]


def find_layout(
    folders: Sequence[Path], bundle: str, packs: Sequence[Pack], groups: Sequence[Draft]
) -> EarlierLayout | None:
    """Return the layout that the complete volumes among these folders name; None for no such.

    A label is not signed. A wrong one spreads the packs otherwise than they would be, and no more:
    each pack is compared before it counts as there.
    """
    labels = {}
    for folder in folders:
        for label in read_labels(DepotReader(folder, bundle), bundle, len(packs)):
            labels[folder] = label
    shapes = {(label.packs, label.parity) for label in labels.values()}
    numbers = {label.number: folder for folder, label in labels.items()}
    if len(shapes) != 1 or len(numbers) != len(labels):
        return None
    ((pack_counts, parity_counts),) = shapes
    others = iter(folder for folder in folders if folder not in labels)
    every = range(1, len(pack_counts) + 1)
    ordered = [numbers.get(number) or next(others, None) for number in every]
    readers = [DepotReader(folder, bundle) for folder in ordered if folder]
    if len(readers) < len(ordered):
        return None
    rows = _spread_rows(readers, set(labels), packs, groups, parity_counts)
    if rows is None:
        return None
    ends = list(accumulate(pack_counts))
    ranges = [range(end - count, end) for end, count in zip(ends, pack_counts, strict=True)]
    parts = tuple(Part(held, tuple(own)) for held, own in zip(ranges, rows, strict=True))
    return EarlierLayout(tuple(reader.folder for reader in readers), parts)


def _spread_rows(
    readers: Sequence[DepotReader],
    complete: set[Path],
    packs: Sequence[Pack],
    groups: Sequence[Draft],
    counts: Sequence[int],
) -> list[list[tuple[int, int]]] | None:
    """Return the parity packs of each volume, by group and row; None if they do not add up.

    Those on complete volumes are found by name; the others take what is left.
    """
    index = PackCopies(readers).index(len(packs))
    if [(group.packs, len(group.parity)) for group in index] != [*groups]:
        return None
    left = [(number, row) for number, (_, rows) in enumerate(groups) for row in range(rows)]
    spread: list[list[tuple[int, int]]] = [[] for _ in readers]
    for own, reader in zip(spread, readers, strict=True):
        if reader.folder in complete:
            digests = {place: index[place[0]].parity[place[1]] for place in left}
            own.extend(at for at in left if reader.size_of(digests[at], is_parity=True) is not None)
            left = [place for place in left if place not in own]
    for own, count in zip(spread, counts, strict=True):
        lacking = max(count - len(own), 0)
        own.extend(left[:lacking])
        left = left[lacking:]
    return spread if [*map(len, spread)] == [*counts] else None


def holds_volume(folder: Path) -> bool:
    """Tell whether an earlier run has completed a volume in a folder; no if that is not known."""
    with suppress(OSError):
        return next(folder.glob(layout.label_name("*")), None) is not None
    return False


def measure_beside_packs(folder: Path) -> int:
    """Return the bytes that volumes in a folder take beside their packs.

    A run that goes on does not need them again. What cannot be looked at counts as nothing.
    """
    with suppress(OSError):
        labels = [*folder.glob(f"{layout.BUNDLES}/*/{_LABEL}")]
        beside = [path for label in labels for path in label.parent.rglob("*")]
        if labels:
            beside += [path for path in folder.iterdir() if not path.is_dir()]
        return sum(cost(path.lstat().st_size) for path in beside if not path.is_dir())
    return 0


def has_parity(folder: Path, bundle: str, group: Group, row: int, packs: Sequence[Pack]) -> bool:
    """Tell whether a parity pack is in a volume, with exactly its content."""
    size, digest = measure_longest(packs, group.packs), group.parity[row]
    try:
        return has_digest(folder, layout.parity_name(bundle, digest), size, digest)
    except AirgapError:
        return False
