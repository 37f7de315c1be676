"""The volumes of a bundle while they are written: packs, parity, and the files beside them.

Each step is done on all media at the same time (``SideBySide``).
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from airgap.carrier.local_depot import DepotReader, DepotWriter
from airgap.carrier.port import BundleReader
from airgap.codec.buffer import Buffer
from airgap.disk import readback
from airgap.disk.durable import move_file
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.disk.reading import read_bounded
from airgap.errors import AirgapError, CorruptError, StorageError
from airgap.flow.media.earlier_layout import has_parity
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.media.parity import Draft, FolderError, make_groups, measure_longest
from airgap.flow.media.plan import Part
from airgap.flow.media.side_by_side import SideBySide
from airgap.flow.media.small_files import SmallFiles
from airgap.flow.progress import Progress
from airgap.format import layout, parity, volume
from airgap.format.manifest import Pack
from airgap.format.parity import Group
from airgap.format.volume import Label

__all__ = ["VolumeWriter"]


class VolumeWriter:
    """The volumes that are being written."""

    def __init__(
        self,
        contents: SmallFiles,
        parts: Sequence[Part],
        folders: Sequence[Path],
        progress: Progress,
        *,
        at_once: bool,
    ) -> None:
        """Take what each volume holds, and its folder; ``at_once`` as ``SideBySide``."""
        self.contents = contents
        self.parts = parts
        self.folders = folders
        self.index: tuple[Group, ...] = ()
        self._progress = progress
        self._writers: dict[int, DepotWriter] = {}
        self.written = [0] * len(parts)
        """The bytes of packs and parity packs that were copied to each volume, not found there."""
        self._media = SideBySide(folders, progress, at_once=at_once)

    @property
    def readers(self) -> list[DepotReader]:
        """Readers of the volumes that have not failed."""
        return [DepotReader(self.folders[at], self.contents.bundle) for at in self._media.left]

    @property
    def packs(self) -> Sequence[Pack]:
        """The packs of the bundle."""
        return self.contents.manifest.packs

    @property
    def sizes(self) -> tuple[int, ...]:
        """The bytes of the packs and parity packs of each volume."""
        return tuple(
            sum(self.packs[index].size for index in part.packs)
            + sum(measure_longest(self.packs, self.index[group].packs) for group, _ in part.parity)
            for part in self.parts
        )

    def move_packs(self, depot: Path) -> None:
        """Rename the packs of a depot on the same file system into the volumes."""
        for part, folder in zip(self.parts, self.folders, strict=True):
            for index in part.packs:
                name = layout.pack_name(self.packs[index].digest)
                move_file(depot / name, folder / name)

    def copy_packs(self, reader: BundleReader) -> None:
        """Copy each pack to its volume.

        Raises:
            CorruptError, MissingError: a pack of the source is damaged, or not there.
        """
        source = reader.packs
        if source.volumes:  # packs are read in any order, from any thread

            def copy(number: int) -> None:
                held = self.parts[number].packs
                for index, data in source.read_packs(self.packs, held):
                    self._put_pack(number, index, data, reader.location)

            self._media.run(copy)
            return
        owner = [at for at, part in enumerate(self.parts) for _ in part.packs]
        for index, data in source.read_packs(self.packs, range(len(self.packs))):
            if owner[index] not in self._media.failed:
                put = partial(self._put_pack, index=index, data=data, location=reader.location)
                self._media.attempt(owner[index], put)

    def _put_pack(self, number: int, index: int, data: Buffer | AirgapError, location: str) -> None:
        self._media.name_volume(number)
        pack = self.packs[index]
        whole = _demand_whole(location, pack, data)
        with self._media.writing(), translate_errors(self.folders[number]):
            if number not in self._writers:
                self._writers[number] = DepotWriter(self.folders[number])
            if self._writers[number].put_pack(pack.digest, [whole]):
                self.written[number] += pack.size
        self._media.advance(pack.size)

    def make_parity(self, groups: Sequence[Draft], copies: PackCopies) -> None:
        """Write the parity packs of all groups to their volumes.

        Those of a medium that refuses are computed, because each volume lists them, and not
        written.
        """
        index = PackCopies(self.readers).index(len(self.packs))
        if [(group.packs, len(group.parity)) for group in index] != [*groups]:
            index = ()
        while True:
            folders = self._choose_folders(groups, index)
            try:
                made = make_groups(self.packs, groups, copies, folders, self._progress)
            except FolderError as error:
                below = layout.parity_folder(self.contents.bundle)
                numbers = [
                    at for at in self._media.left if self.folders[at] / below == error.folder
                ]
                if not self._media.at_once or not numbers:
                    raise
                self._media.fail(numbers[0], error)
            else:
                self.index = tuple(made)
                self._count_parity(folders)
                return

    def _count_parity(self, folders: Sequence[Sequence[Path | None]]) -> None:
        """Count the parity packs that were written, by what ``_choose_folders`` returned."""
        for number in self._media.left:
            for group, row in self.parts[number].parity:
                if folders[group][row] is not None:
                    self.written[number] += measure_longest(self.packs, self.index[group].packs)

    def _choose_folders(
        self, groups: Sequence[Draft], index: Sequence[Group]
    ) -> list[list[Path | None]]:
        """Return for each group the folder of each of its parity packs; None: it is not needed."""
        bundle = self.contents.bundle
        folders: list[list[Path | None]] = [[None] * rows for _, rows in groups]
        for number in self._media.left:
            folder = self.folders[number]
            for group, row in self.parts[number].parity:
                if not (index and has_parity(folder, bundle, index[group], row, self.packs)):
                    folders[group][row] = folder / layout.parity_folder(bundle)
        return folders

    def carry_parity(self, groups: Sequence[Group], copies: PackCopies) -> None:
        """Copy the parity packs that the source has."""
        self.index = tuple(groups)

        def carry(number: int) -> None:
            folder, bundle = self.folders[number], self.contents.bundle
            for at, row in self.parts[number].parity:
                digest, size = groups[at].parity[row], measure_longest(self.packs, groups[at].packs)
                with copies.opened_parity(digest, size) as copy:
                    if not isinstance(copy, PackCopy):
                        raise copy
                    data = copy.read(0, size)
                if not has_parity(folder, bundle, groups[at], row, self.packs):
                    with self._media.writing():
                        write_atomically(folder, layout.parity_name(bundle, digest), [data])
                    self.written[number] += size

        self._media.run(carry)

    def finish(self, *, read_back: bool) -> None:
        """Publish each volume, and read it back if that is wanted. Every file is synced.

        Raises:
            StorageError: media have refused; the other volumes are complete.
        """

        def finish(number: int) -> None:
            with self._media.writing():
                if not self._is_published(number):
                    self._publish(number)
                if read_back:
                    self._read_back(number)

        self._media.run(finish)
        self._media.demand_all()

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

    def _is_published(self, number: int) -> bool:
        """Tell whether all small files of a volume are there, with exactly their content."""
        bundle = self.contents.bundle
        packs, digests = self._held(number)
        expected = dict(self._small_files(number))
        expected |= {
            f"{layout.BUNDLES}/{bundle}/{name}": data
            for name, data in self.contents.envelopes.items()
        }
        expected[layout.checksums_name(bundle)] = layout.list_checksums(bundle, packs, digests)
        expected[layout.manifest_name(bundle)] = self.contents.raw
        try:
            return all(
                read_bounded(self.folders[number], name, len(data) + 1) == data
                for name, data in expected.items()
            )
        except AirgapError:
            return False

    def _publish(self, number: int) -> None:
        """Write everything but the packs; the manifest comes last (format §8)."""
        folder, contents = self.folders[number], self.contents
        for name, data in self._small_files(number):
            write_atomically(folder, name, [data])
        packs, digests = self._held(number)
        DepotWriter(folder).publish(
            contents.bundle, contents.raw, contents.envelopes, packs, digests
        )

    def _read_back(self, number: int) -> None:
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


def _demand_whole(location: str, pack: Pack, data: Buffer | AirgapError) -> Buffer:
    """Compare a pack of the source with its name. Raises CorruptError, MissingError."""
    if isinstance(data, AirgapError):
        raise data
    if hashlib.sha256(data).digest() != pack.digest:
        raise CorruptError(
            f"{layout.pack_name(pack.digest)} of {location} is damaged.",
            "Copy the bundle from its source again, or `airgap repair` it.",
        )
    return data
