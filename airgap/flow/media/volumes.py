"""Read a bundle from several volumes at once, with parity for damaged packs (format §19, §20).

Labels and parity are looked at only when a pack is damaged or missing: a bundle that is whole is
read as if they were not there.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from airgap.carrier.local_depot import DepotReader
from airgap.carrier.port import PackSource, Volume
from airgap.codec.buffer import Buffer
from airgap.disk.buffers import BufferPool
from airgap.errors import (
    AirgapError,
    CorruptError,
    MissingError,
    StorageError,
    UsageError,
)
from airgap.flow.bundle.open_bundle import CompletesError, Opened
from airgap.flow.bundle.unseal import ReadPack, UnsealedPacks
from airgap.flow.location.location import LocalDepot, Location
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.media.parity import ParityRepair
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.format.manifest import Pack
from airgap.format.volume import Label
from airgap.format.volume import decode as decode_label
from airgap.printable import list_some

__all__ = [
    "VolumesReader",
    "demand_one_bundle",
    "open_volumes",
    "read_labels",
    "read_pack",
    "repair_packs",
]

_SHOWN_RUNS: Final = 4


class VolumesReader:
    """Fills ``PackSource`` with several volumes. Each pack may be on any of them, or on several."""

    is_stream = False
    spooled = None

    def __init__(self, volumes: Sequence[Volume]) -> None:
        """Take the volumes of one bundle."""
        self.volumes = tuple(volumes)
        self.location = ", ".join(volume.location for volume in volumes)

    def read_packs(
        self, packs: Sequence[Pack], wanted: Container[int], memory: BufferPool | None = None
    ) -> Iterator[tuple[int, Buffer | AirgapError]]:
        """Yield each wanted pack from the first volume that has it; see ``PackSource``."""
        for index, pack in enumerate(packs):
            if index in wanted:
                yield index, read_pack(self.volumes, pack, memory)

    def read_model_signatures(self, files: Collection[str]) -> dict[str, bytes]:
        """Return those of these files that any of the volumes has."""
        signatures: dict[str, bytes] = {}
        for volume in self.volumes:
            signatures = volume.read_model_signatures(files) | signatures
        return signatures


def read_pack(
    volumes: Sequence[Volume], pack: Pack, memory: BufferPool | None = None
) -> Buffer | AirgapError:
    """Return the bytes under a pack's name on the first volume that has them whole."""
    # A volume that has nothing is not asked: an error keeps its frames, and they what was read.
    having = [volume for volume in volumes if volume.size_of(pack.digest) is not None]
    for volume in having[:-1]:
        data = volume.read_pack(pack, memory)
        if not isinstance(data, AirgapError):
            return data
        del data
    return (having or volumes)[-1].read_pack(pack, memory)


def repair_packs(
    volumes: Sequence[Volume],
    packs: Sequence[Pack],
    read: Iterable[tuple[int, Buffer | AirgapError]],
    progress: Progress,
) -> Iterator[tuple[int, Buffer | AirgapError]]:
    """Pass packs on; replace errors by a pack of another volume or of parity, where possible.

    What parity gives back is authentic, and waits in the system's temporary folder.
    """
    copies = PackCopies(volumes)
    repair = ParityRepair(packs, copies, progress)
    try:
        for index, data in read:
            if isinstance(data, AirgapError):
                copy = _read_copy(copies, packs[index], data) if len(volumes) > 1 else None
                yield index, copy or repair.take(index) or data
            else:
                yield index, data
            del data
    finally:
        repair.close()


def _read_copy(copies: PackCopies, pack: Pack, error: AirgapError) -> bytes | None:
    """Return an authentic copy of a pack of which the first copy is damaged."""
    if isinstance(error, MissingError):
        return None
    with ExitStack() as stack:
        copy = copies.open_pack(pack, stack)
        return copy.read(0, copy.size) if isinstance(copy, PackCopy) else None


def read_labels(source: PackSource, bundle: str, packs: int) -> list[Label]:
    """Return the labels that fit a bundle of so many packs; they are claims, for people only."""
    labels = []
    for volume in source.volumes:
        try:
            label = decode_label(volume.read_label())
        except AirgapError:  # none, damaged, or made up: format §19 passes over it
            continue
        if label.fits(bundle, packs):
            labels.append(label)
    return labels


@contextmanager
def open_volumes(
    locations: Sequence[Location],
    open_one: Callable[[Location], AbstractContextManager[Opened]],
    progress: Progress,
) -> Iterator[Opened]:
    """Open a bundle that lies in one location, or spread over several, and admit it.

    Each location is admitted by itself, by ``open_one``; one whose manifest or envelopes cannot be
    read still gives its packs, once another was admitted (format §19).

    Raises:
        UsageError: the locations hold different bundles, or cannot be parts of one.
        MissingError, NotTrustedError, PolicyError, CorruptError: as ``open_one``.
    """
    with ExitStack() as stack:
        opened: list[tuple[Location, Opened]] = []
        broken: list[tuple[Location, AirgapError]] = []
        for location in locations:
            try:
                opened.append((location, stack.enter_context(open_one(location))))
            except CompletesError:
                raise
            except (CorruptError, MissingError, StorageError) as error:
                if len(locations) == 1:
                    raise
                broken.append((location, error))
        if not opened:
            raise broken[0][1]
        yield _join(opened, broken, progress)


def _join(
    opened: Sequence[tuple[Location, Opened]],
    broken: Sequence[tuple[Location, AirgapError]],
    progress: Progress,
) -> Opened:
    first = opened[0][1]
    demand_one_bundle([location for location, _ in opened], [bundle.bundle for _, bundle in opened])
    sources = [_find_source(bundle.packs) for _, bundle in opened]
    for location, error in broken:
        if not (
            isinstance(location, LocalDepot)
            and (first.index or first.bundle).startswith(location.bundle)
            and (location.path / layout.PACKS).is_dir()
        ):
            raise error
        progress.note(f"{error.message} The packs of {location} are used nevertheless.")
        sources.append(DepotReader(location.path, first.index or first.bundle))
    if all(source.volumes for source in sources):
        volumes = VolumesReader([volume for source in sources for volume in source.volumes])
        return replace(first, packs=_replace_source(first.packs, volumes, progress))
    if len(sources) > 1:
        raise UsageError(
            "Only folders can be read together.", "Give one archive, or the folders of volumes."
        )
    return first


def _find_source(packs: PackSource) -> PackSource:
    """Return where the files are: of a sealed bundle, those that are encrypted."""
    return packs.sealed if isinstance(packs, UnsealedPacks) else packs


def _replace_source(packs: PackSource, volumes: VolumesReader, progress: Progress) -> PackSource:
    """Read from volumes instead; parity of a sealed bundle is over its encrypted packs."""
    if not isinstance(packs, UnsealedPacks):
        return volumes

    def repair(read: Iterator[ReadPack]) -> Iterator[ReadPack]:
        return repair_packs(volumes.volumes, packs.index, read, progress)

    return replace(packs, sealed=volumes, repair=repair)


def demand_one_bundle(locations: Sequence[Location], bundles: Sequence[str]) -> None:
    """Compare the bundle ids of several locations.

    Raises:
        UsageError: they differ.
    """
    if len(set(bundles)) > 1:
        raise UsageError(
            f"The {len(locations)} locations hold {len(set(bundles))} different bundles.",
            f"Run the command once for each bundle: {_list_runs(locations, bundles)}. Of a folder"
            " with several bundles, name one: FOLDER#ID.",
            [
                f"{replace(location, bundle='')} holds {bundle}"
                for location, bundle in zip(locations, bundles, strict=True)
            ],
        )


def _list_runs(locations: Sequence[Location], bundles: Sequence[str]) -> str:
    """Say which locations belong into each run of a command, in the order that they were given."""
    runs = [
        " ".join(
            str(location)
            for location, held in zip(locations, bundles, strict=True)
            if held == bundle
        )
        for bundle in dict.fromkeys(bundles)
    ]
    return ", then ".join(f"with {run}" for run in list_some(runs, _SHOWN_RUNS))
