"""Write volumes: whole packs and parity, spread over folders; everything is read back."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from airgap.carrier.local_depot import DepotReader, DepotWriter
from airgap.carrier.port import BundleReader
from airgap.disk import readback
from airgap.disk.durable import move_file
from airgap.disk.part_file import write_atomically
from airgap.disk.space import make_shortage, measure_free
from airgap.errors import AirgapError, ConflictError, CorruptError, StorageError, UsageError
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import Location
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.media.parity import Draft, draft_groups, make_groups, measure_longest
from airgap.flow.media.plan import Part, cost, measure_free_space, plan, survives, usable
from airgap.flow.media.small_files import SmallFiles, read_small_files
from airgap.flow.progress import Progress
from airgap.format import layout, parity, volume
from airgap.format.manifest import Pack
from airgap.format.parity import Group
from airgap.format.volume import Label

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


def split(
    location: Location, media: VolumeOptions, progress: Progress, connector: Connector = LOCAL
) -> SplitResult:
    """Copy a bundle onto volumes. The only check is that each pack has the digest in its name.

    Raises:
        StorageError: the media are too small or too few, or refused.
        CorruptError, MissingError: a pack of the source is damaged, or not there.
        MissingError: the folder above the output does not exist.
        ConflictError: the output holds volumes of another split.
    """
    if not media.folders:
        require_folder_above(media.output)
    with open_unverified(location, connector) as opened:
        return write_volumes(opened.reader, read_small_files(opened), media, progress)


def write_volumes(
    reader: BundleReader,
    contents: SmallFiles,
    media: VolumeOptions,
    progress: Progress,
    *,
    move: bool = False,
) -> SplitResult:
    """Write the volumes of a bundle; ``move`` moves its packs from the depot.

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
    rooms = _make_rooms(media, contents, groups)
    parts = plan(packs, groups, rooms, rooms.resize)
    volumes = _Volumes(contents, parts, _choose_folders(media, contents.bundle, len(parts)))
    if not media.folders:
        _demand_space(media.output, 0 if move else contents.manifest.stored_size, packs, groups)
    progress.begin("writing volumes", contents.manifest.stored_size * (2 if groups else 1))
    try:
        for depot in depots if move else ():
            volumes.move_packs(depot.folder)
        if not (depots and move):
            volumes.copy_packs(reader, progress)
        copies = PackCopies([*depots, *volumes.readers])
        if groups_there:
            volumes.carry_parity(groups_there, copies)
        else:
            volumes.make_parity(groups, copies, progress)
        for number in range(len(parts)):
            volumes.publish(number)
            if media.read_back:
                volumes.read_back(number)
    finally:
        progress.end()
    return SplitResult(
        contents.bundle, tuple(volumes.folders), tuple(parts), survives(parts, groups)
    )


def add_parity(
    folder: Path, bundle: str, packs: Sequence[Pack], percent: int, progress: Progress
) -> None:
    """Add parity packs to a bundle in a depot.

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
    lines = len(packs) + sum(rows for _, rows in groups)
    return Rooms(media, free, contents.sizes, contents.manifest.labels, lines)


@dataclass(slots=True)
class _Volumes:
    """The volumes that are being written."""

    contents: SmallFiles
    parts: Sequence[Part]
    folders: Sequence[Path]
    index: tuple[Group, ...] = field(default=())

    @property
    def readers(self) -> list[DepotReader]:
        return [DepotReader(folder, self.contents.bundle) for folder in self.folders]

    @property
    def packs(self) -> Sequence[Pack]:
        return self.contents.manifest.packs

    def move_packs(self, depot: Path) -> None:
        """Rename the packs of a depot on the same file system into the volumes."""
        for part, folder in zip(self.parts, self.folders, strict=True):
            for index in part.packs:
                name = layout.pack_name(self.packs[index].digest)
                move_file(depot / name, folder / name)

    def copy_packs(self, reader: BundleReader, progress: Progress) -> None:
        """Copy each pack to its volume, in the manifest's order."""
        writers = list(map(DepotWriter, self.folders))
        owner = [at for at, part in enumerate(self.parts) for _ in part.packs]
        for index, data in reader.packs.read_packs(self.packs, range(len(self.packs))):
            progress.name_item(f"{owner[index] + 1} of {len(writers)}")
            if isinstance(data, AirgapError):
                raise data
            pack = self.packs[index]
            if hashlib.sha256(data).digest() != pack.digest:
                raise CorruptError(
                    f"{layout.pack_name(pack.digest)} of {reader.location} is damaged.",
                    "Copy the bundle from its source again, or `airgap repair` it.",
                )
            writers[owner[index]].put_pack(pack.digest, [data])
            progress.advance(pack.size)

    def make_parity(self, groups: Sequence[Draft], copies: PackCopies, progress: Progress) -> None:
        """Write the parity packs of all groups to their volumes."""
        places = self._parity_places(groups)
        self.index = tuple(make_groups(self.packs, groups, copies, places, progress))

    def carry_parity(self, groups: Sequence[Group], copies: PackCopies) -> None:
        """Copy the parity packs that the source has."""
        self.index = tuple(groups)
        for part, folder in zip(self.parts, self.folders, strict=True):
            for group, row in part.parity:
                self._carry(groups[group], row, folder, copies)

    def _carry(self, group: Group, row: int, folder: Path, copies: PackCopies) -> None:
        digest, size = group.parity[row], measure_longest(self.packs, group.packs)
        with copies.opened_parity(digest, size) as copy:
            if not isinstance(copy, PackCopy):
                raise copy
            name = layout.parity_name(self.contents.bundle, digest)
            write_atomically(folder, name, [copy.read(0, size)])

    def _parity_places(self, groups: Sequence[Draft]) -> list[list[Path]]:
        """Return for each group the folder of each of its parity packs."""
        below = layout.parity_folder(self.contents.bundle)
        places = [[Path()] * rows for _, rows in groups]
        for part, folder in zip(self.parts, self.folders, strict=True):
            for group, row in part.parity:
                places[group][row] = folder / below
        return places

    def _held(self, number: int) -> tuple[list[Pack], list[bytes]]:
        """Return the packs of a volume, and the digests of its parity packs."""
        part = self.parts[number]
        digests = [self.index[group].parity[row] for group, row in part.parity]
        return [self.packs[index] for index in part.packs], digests

    def _small_files(self, number: int) -> Iterator[tuple[str, bytes]]:
        """Yield the files of a volume besides packs, texts of §8, envelopes and manifest."""
        bundle = self.contents.bundle
        counts = [tuple(map(len, (part.packs, part.parity))) for part in self.parts]
        packs, rows = (tuple(column) for column in zip(*counts, strict=True))
        label = Label(bundle, number + 1, packs, rows, self.contents.manifest.labels)
        yield layout.VOLUME_TEXT_NAME, volume.render_text(label)
        yield layout.label_name(bundle), volume.encode(label)
        if self.index:
            yield layout.parity_index_name(bundle), parity.encode(self.index)
        yield from self.contents.roots.items()

    def publish(self, number: int) -> None:
        """Write everything but the packs; the manifest comes last (format §8)."""
        folder, contents = self.folders[number], self.contents
        for name, data in self._small_files(number):
            write_atomically(folder, name, [data])
        packs, digests = self._held(number)
        DepotWriter(folder).publish(
            contents.bundle, contents.raw, contents.envelopes, packs, digests
        )

    def read_back(self, number: int) -> None:
        """Read a volume from its medium and compare every digest.

        Raises:
            StorageError: the medium gives something else than was written.
        """
        folder, bundle = self.folders[number], self.contents.bundle
        packs, digests = self._held(number)
        small = chain(
            self._small_files(number), [(layout.manifest_name(bundle), self.contents.raw)]
        )
        expected = {name: hashlib.sha256(data).digest() for name, data in small}
        expected |= {layout.pack_name(pack.digest): pack.digest for pack in packs}
        expected |= {layout.parity_name(bundle, digest): digest for digest in digests}
        for name, data in self.contents.envelopes.items():
            expected[f"{layout.BUNDLES}/{bundle}/{name}"] = hashlib.sha256(data).digest()
        for name, digest in expected.items():
            if readback.digest_on_medium(folder, name) != digest:
                raise StorageError(
                    f"{folder / name} reads back otherwise than it was written.",
                    "Do not trust this medium: use another one, and run the same command again.",
                )


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
