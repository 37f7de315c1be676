"""Write volumes: whole packs and parity, spread over folders; everything is read back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.carrier.local_depot import DepotReader
from airgap.carrier.port import BundleReader
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.disk.space import make_shortage, measure_free
from airgap.errors import ConflictError, UsageError
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.disk_use import DiskUse, find_peaks, note_peaks
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import Location
from airgap.flow.media.earlier_layout import find_layout, measure_beside_packs
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import Draft, draft_groups, make_groups, measure_longest
from airgap.flow.media.plan import Part, cost, measure_free_space, plan, survives, usable
from airgap.flow.media.small_files import SmallFiles, read_small_files
from airgap.flow.media.volume_writer import VolumeWriter
from airgap.flow.progress import Progress
from airgap.format import layout, parity
from airgap.format.manifest import Pack

__all__ = [
    "Rooms",
    "SplitResult",
    "VolumeOptions",
    "add_parity",
    "demand_room",
    "split",
    "write_volumes",
]

_TEXT_BYTES: Final = 16 * 1024
_TEXTS: Final = 4
_LINE_BYTES: Final = 256  # in checksums.txt and the parity index, for each pack or parity pack


@dataclass(frozen=True, slots=True)
class VolumeOptions:
    """Where volumes are written: numbered folders below ``output``, or existing ``folders``.

    ``size`` is that of one medium in bytes. ``percent`` of parity packs are added.
    """

    output: Path = Path()
    size: int = 0
    folders: tuple[Path, ...] = ()
    percent: int = 0
    read_back: bool = False

    @property
    def makes_volumes(self) -> bool:
        """Tell whether volumes are wanted, and not only parity."""
        return bool(self.size or self.folders)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The volumes that were written. ``survives``: any one of them may be lost."""

    bundle: str
    folders: tuple[Path, ...]
    parts: tuple[Part, ...]
    survives: bool
    sizes: tuple[int, ...]
    """The bytes of the packs and parity packs of each volume."""
    written: tuple[int, ...]
    """Those of them that were not there from an earlier run."""


def split(
    location: Location, media: VolumeOptions, progress: Progress, connector: Connector = LOCAL
) -> SplitResult:
    """Copy a bundle onto volumes. The only check is that each pack has the digest in its name.

    Raises:
        StorageError: the media are too small or too few, or refused. Those that did not refuse are
            complete.
        CorruptError, MissingError: a pack of the source is damaged, or not there.
        MissingError: the folder above the output does not exist.
        ConflictError: the output holds volumes of another split.
    """
    if not media.folders:
        require_folder_above(media.output)

    def announce(uses: Sequence[DiskUse]) -> None:
        with translate_errors(uses[0].folder):
            peaks = find_peaks(uses)
        note_peaks(peaks, progress)

    with open_unverified(location, connector) as opened:
        contents = read_small_files(opened)
        return write_volumes(opened.reader, contents, media, progress, announce=announce)


def write_volumes(  # noqa: PLR0913  (what split and export differ in)
    reader: BundleReader,
    contents: SmallFiles,
    media: VolumeOptions,
    progress: Progress,
    *,
    move: bool = False,
    announce: Callable[[Sequence[DiskUse]], object] = lambda _: None,
) -> SplitResult:
    """Write the volumes of a bundle; ``move`` moves its packs from the depot.

    ``announce`` gets the bytes of each volume before anything is written.

    Raises:
        StorageError, CorruptError, MissingError, ConflictError: as ``split``.
    """
    _refuse_twice(media.folders)
    packs = contents.manifest.packs
    depots = reader.packs.volumes
    groups_there = () if media.percent else PackCopies(depots).index(len(packs))
    groups = [(group.packs, len(group.parity)) for group in groups_there] or draft_groups(
        packs, media.percent
    )
    layout_there = find_layout(media.folders, contents.bundle, packs, groups)
    rooms = _make_rooms(media, contents, groups)
    parts = layout_there.parts if layout_there else plan(packs, groups, rooms, rooms.resize)
    folders = (
        layout_there.folders
        if layout_there
        else _choose_folders(media, contents.bundle, len(parts))
    )
    if not media.folders:
        _demand_space(media.output, 0 if move else contents.manifest.stored_size, packs, groups)
    announce(_list_uses(parts, folders, packs, groups))
    at_once = bool(media.folders)
    volumes = VolumeWriter(contents, parts, folders, progress, at_once=at_once)
    progress.begin("writing volumes", contents.manifest.stored_size * (2 if groups else 1))
    try:
        for depot in depots if move else ():
            volumes.move_packs(depot.folder)
        if not (depots and move):
            volumes.copy_packs(reader)
        copies = PackCopies([*depots, *volumes.readers])
        if groups_there:
            volumes.carry_parity(groups_there, copies)
        else:
            volumes.make_parity(groups, copies)
        volumes.finish(read_back=media.read_back)
    finally:
        progress.end()
    return SplitResult(
        contents.bundle,
        tuple(folders),
        tuple(parts),
        survives(parts, groups),
        volumes.sizes,
        volumes.sizes if move else tuple(volumes.written),
    )


def _list_uses(
    parts: Sequence[Part], folders: Sequence[Path], packs: Sequence[Pack], groups: Sequence[Draft]
) -> list[DiskUse]:
    """Return the bytes of packs and parity packs of each volume."""
    return [
        DiskUse(
            "writing volumes",
            folder,
            sum(packs[index].size for index in part.packs)
            + sum(measure_longest(packs, groups[group][0]) for group, _ in part.parity),
        )
        for folder, part in zip(folders, parts, strict=False)
    ]


def add_parity(
    folder: Path, bundle: str, packs: Sequence[Pack], percent: int, progress: Progress
) -> int:
    """Add parity packs to a bundle in a depot; return how many bytes these have.

    Raises:
        CorruptError, MissingError: a pack is damaged, or not there.
        StorageError: the disk refused, or is too small.
    """
    groups = draft_groups(packs, percent)
    _demand_space(folder, 0, packs, groups)
    copies = PackCopies([DepotReader(folder, bundle)])
    place = folder / layout.parity_folder(bundle)
    progress.begin(
        "making parity",
        sum(len(members) * measure_longest(packs, members) for members, _ in groups),
    )
    try:
        places = [[place] * rows for _, rows in groups]
        made = make_groups(packs, groups, copies, places, progress)
    finally:
        progress.end()
    digests = [digest for group in made for digest in group.parity]
    texts = layout.list_checksums(bundle, packs, digests)
    write_atomically(folder, layout.checksums_name(bundle), [texts])
    write_atomically(folder, layout.parity_index_name(bundle), [parity.encode(made)])
    return sum(len(group.parity) * measure_longest(packs, group.packs) for group in made)


class Rooms:
    """The bytes for packs on each volume."""

    def __init__(
        self,
        media: VolumeOptions,
        free: Sequence[int],
        small: Sequence[int],
        labels: Mapping[str, str],
        lines: int,
    ) -> None:
        """Count what is beside packs on each volume.

        Args:
            media: the volumes.
            free: the bytes for files on each of the folders.
            small: the sizes of the bundle's small files.
            labels: of the bundle.
            lines: how many packs and parity packs there are, which `checksums.txt` lists.
        """
        self._size = media.size
        self._free = free if media.folders else None
        text = _TEXT_BYTES + sum(map(_label_bytes, labels.items()))
        sizes = [*small, *[text] * _TEXTS, *[lines * _LINE_BYTES] * 2]
        self.small = sum(map(cost, sizes))

    @property
    def resize(self) -> Callable[[int], Callable[[int], list[int]]] | None:
        """Returns the room on volumes of another size; None for media that are mounted."""
        return None if self._free is not None else self._resize

    def _resize(self, size: int) -> Callable[[int], list[int]]:
        return lambda count: [max(usable(size) - self.small, 0)] * count

    def __call__(self, count: int) -> list[int] | None:
        """Return the room on each of so many volumes; None if there are not so many."""
        if self._free is None:
            return self._resize(self._size)(count)
        if count > len(self._free):
            return None
        return [max(free - self.small, 0) for free in self._free[:count]]


def _make_rooms(media: VolumeOptions, contents: SmallFiles, groups: Sequence[Draft]) -> Rooms:
    packs = contents.manifest.packs
    free = measure_free_space(media.folders)
    for at, folder in enumerate(media.folders):  # what an earlier try has left there
        names = (layout.pack_name(pack.digest) for pack in packs)
        sources = zip(packs, map(folder.joinpath, names), strict=True)
        free[at] += sum(cost(pack.size) for pack, path in sources if path.exists())
        free[at] += measure_beside_packs(folder)
    lines = len(packs) + sum(rows for _, rows in groups)
    return Rooms(media, free, contents.sizes, contents.manifest.labels, lines)


def _label_bytes(label: tuple[str, str]) -> int:
    """Return the most bytes that a label takes in a text: JSON writes 12 for some characters."""
    return 12 * sum(map(len, label)) + 16


def _choose_folders(media: VolumeOptions, bundle: str, count: int) -> list[Path]:
    """Return the volumes' folders.

    Raises:
        ConflictError: volumes of another split are there.
    """
    if media.folders:
        return list(media.folders[:count])
    chosen = [media.output / f"volume-{number}of{count}" for number in range(1, count + 1)]
    strangers = [path for path in media.output.glob("volume-*of*") if path not in chosen]
    for folder in chosen:
        bundles = (folder / layout.BUNDLES).glob("*")
        strangers += [path for path in bundles if path.name != bundle]
    if strangers:
        raise ConflictError(
            f"{media.output} holds other volumes: {strangers[0]}.", "Choose an empty folder."
        )
    return chosen


def _refuse_twice(folders: Sequence[Path]) -> None:
    """Refuse two paths of the same folder.

    Raises:
        UsageError: two of them are.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("A folder is given twice.", "Give each medium once.")


def demand_room(folder: Path, needed: int) -> None:
    """Refuse a disk that is too small, before anything is written.

    Raises:
        StorageError: it is.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = measure_free(existing)
    if free is not None and needed > free:
        raise make_shortage(existing, needed, free)


def _demand_space(
    folder: Path, packs_bytes: int, packs: Sequence[Pack], groups: Sequence[Draft]
) -> None:
    """Refuse a disk that is too small for packs and parity, before anything is written.

    Raises:
        StorageError: it is.
    """
    demand_room(
        folder,
        packs_bytes + sum(rows * measure_longest(packs, members) for members, rows in groups),
    )
