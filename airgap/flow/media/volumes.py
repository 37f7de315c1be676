"""Reading a bundle from several places at once, with parity for what is damaged (format §19, §20).

Labels and parity are looked at only when a pack is damaged or missing: a bundle that is whole is
read as if they were not there.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace

from airgap.carrier.local_depot import DepotReader
from airgap.carrier.port import BundleReader
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.errors import (
    AirgapError,
    CorruptError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.flow.bundle.open_bundle import Opened, split_place
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.media.parity import ParityRepair
from airgap.flow.progress import Progress
from airgap.format import layout, volume
from airgap.format.envelope import Role
from airgap.format.manifest import Pack
from airgap.format.volume import Label

__all__ = ["VolumesReader", "demand_one_bundle", "open_places"]


class VolumesReader:
    """Reads one bundle from several depots. Each pack may be in any of them, or in several."""

    def __init__(self, readers: Sequence[DepotReader], bundle: str) -> None:
        """Take readers of one bundle; the first one's manifest has been admitted."""
        self.place = ", ".join(reader.place for reader in readers)
        self._readers = list(readers)
        self._bundle = bundle

    def add(self, folder_reader: DepotReader) -> None:
        """Take one more place for packs and parity packs."""
        self._readers.append(folder_reader)

    @property
    def copies(self) -> PackCopies:
        """All places, for reading in pieces."""
        return PackCopies(self._readers)

    def read_manifest(self) -> tuple[str, bytes]:
        """Return the bundle id and the first place's manifest."""
        return self._readers[0].read_manifest()

    def read_envelopes(self, role: Role) -> list[bytes]:
        """Return the first place's envelopes of one role."""
        return self._readers[0].read_envelopes(role)

    def read_attestations(self, role: Role) -> list[tuple[bytes, bytes]]:
        """Return the first place's attestations of one role."""
        return self._readers[0].read_attestations(role)

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield each wanted pack from the first place that has it; see ``BundleReader``."""
        for index, pack in enumerate(packs):
            if index in wanted:
                yield index, self.read_pack(pack, memory)

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that any of the places has."""
        found: dict[str, bytes] = {}
        for reader in self._readers:
            with suppress(MissingError):  # a place may have packs and nothing else
                found = reader.read_model_signatures(files) | found
        return found

    def read_pack(self, pack: Pack, memory: BufferPool | None = None) -> Buffer | AirgapError:
        """Return the bytes under a pack's name in the first place that has them whole."""
        # Whoever has nothing is not asked: an error keeps its frames, and they what was read.
        having = [one for one in self._readers if one.size_of(pack.digest) is not None]
        for reader in having[:-1]:
            data = reader.read_pack(pack, memory)
            if not isinstance(data, AirgapError):
                return data
            del data
        return (having or self._readers)[-1].read_pack(pack, memory)

    def mended(
        self,
        packs: Sequence[Pack],
        read: Iterable[tuple[int, Buffer | AirgapError]],
        progress: Progress,
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Pass packs on; replace errors by a pack of another place or of parity, where it can be.

        What parity gives back is authentic, and waits in the system's temporary folder.
        """
        mending = ParityRepair(packs, self.copies, progress)
        try:
            for index, data in read:
                if isinstance(data, AirgapError):
                    found = self._elsewhere(packs[index], data) or mending.take(index)
                    yield index, found or data
                else:
                    yield index, data
                del data
        finally:
            mending.close()

    def _elsewhere(self, pack: Pack, error: AirgapError) -> bytes | None:
        """Return an authentic copy of a pack of which the first copy is damaged."""
        if isinstance(error, MissingError) or len(self._readers) == 1:
            return None
        with ExitStack() as stack:
            copy = self.copies.open_pack(pack, stack)
            return copy.read(0, copy.size) if isinstance(copy, PackCopy) else None

    def labels(self, packs: int) -> list[Label]:
        """Return the labels that fit the bundle; they are claims, and for people only."""
        found = []
        for reader in self._readers:
            try:
                label = volume.decode(reader.read_label())
            except AirgapError:  # none, damaged, or made up: format §19 passes over it
                continue
            if label.fits(self._bundle, packs):
                found.append(label)
        return found

    def close(self) -> None:
        """Nothing is kept open."""


@contextmanager
def open_places(
    places: Sequence[str],
    open_one: Callable[[str], AbstractContextManager[Opened]],
    progress: Progress,
) -> Iterator[Opened]:
    """Open a bundle that lies in one place, or spread over several, and admit it.

    Each place is admitted by itself, by ``open_one``; one whose manifest or envelopes cannot be
    read still gives its packs, once another was admitted (format §19).

    Raises:
        UsageError: the places hold different bundles, or cannot be parts of one.
        MissingError, NotTrustedError, PolicyError, CorruptError: as ``open_one``.
    """
    with ExitStack() as stack:
        opened: list[Opened] = []
        broken: list[tuple[str, AirgapError]] = []
        for place in places:
            try:
                opened.append(stack.enter_context(open_one(place)))
            except (CorruptError, MissingError, StorageError) as error:
                if len(places) == 1:
                    raise
                broken.append((place, error))
        if not opened:
            raise broken[0][1]
        yield _joined(opened, broken, progress)


def _joined(
    opened: Sequence[Opened], broken: Sequence[tuple[str, AirgapError]], progress: Progress
) -> Opened:
    first = opened[0]
    demand_one_bundle([(one.reader.place, one.bundle) for one in opened])
    readers: list[BundleReader] = [one.reader for one in opened]
    for place, error in broken:
        folder, _ = split_place(place)
        if not (folder / layout.PACKS).is_dir():
            raise error
        progress.note(f"{error.message} The packs of {place} are used nevertheless.")
        readers.append(DepotReader(folder, first.bundle))
    depots = [reader for reader in readers if isinstance(reader, DepotReader)]
    if len(depots) == len(readers):
        return replace(first, reader=VolumesReader(depots, first.bundle))
    if len(readers) > 1:
        raise UsageError(
            "Only folders can be read together.", "Give one archive, or the folders of volumes."
        )
    return first


def demand_one_bundle(found: Sequence[tuple[str, str]]) -> None:
    """Compare the bundle ids of several places.

    Raises:
        UsageError: they differ.
    """
    if len({bundle for _, bundle in found}) > 1:
        raise UsageError(
            "These are volumes of different bundles.",
            "Give the volumes of one bundle; with several in one place, name it: PLACE#ID.",
            [f"{place.partition('#')[0]} holds {bundle}" for place, bundle in found],
        )
