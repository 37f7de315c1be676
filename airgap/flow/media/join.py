"""Join volumes into one depot, and repair packs. No key is needed (format §19, §20)."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.carrier.depot import Depot
from airgap.carrier.local_depot import DepotReader, DepotWriter
from airgap.carrier.port import Volume
from airgap.codec.buffer import Buffer
from airgap.disk.digests import has_digest
from airgap.disk.os_errors import translate_errors
from airgap.disk.part_file import write_atomically
from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.bundle.open_bundle import Unverified, open_unverified
from airgap.flow.disk_use import DiskUse, find_peaks, note_peaks
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import Location
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.pack_copies import PackCopies, PackCopy
from airgap.flow.media.parity import ParityRepair, can_restore, measure_longest
from airgap.flow.media.small_files import SmallFiles, read_small_files
from airgap.flow.media.split import demand_room
from airgap.flow.media.volumes import (
    VolumesReader,
    demand_one_bundle,
    read_labels,
    repair_packs,
)
from airgap.flow.progress import Progress
from airgap.flow.publishing.stamped_files import leave_out_other_chains
from airgap.format import layout, parity
from airgap.format.manifest import Pack

__all__ = ["JoinResult", "RepairResult", "join", "repair"]


@dataclass(frozen=True, slots=True)
class JoinResult:
    """What a depot was joined from. ``remade`` packs were rebuilt from parity."""

    bundle: str
    packs: int
    remade: int


@dataclass(frozen=True, slots=True)
class RepairResult:
    """How many packs were rebuilt, and how many parity packs are damaged or missing."""

    bundle: str
    packs: int
    remade: int
    parity_lost: int


def join(locations: Sequence[Location], output: Path, progress: Progress) -> JoinResult:
    """Copy what volumes hold into a depot. The manifest is written when all packs are there.

    The next run continues: volumes may come one by one.

    Raises:
        UsageError: the locations hold different bundles.
        MissingError, CorruptError: not all packs could be had. What could is kept.
        MissingError: the folder above the output does not exist.
        StorageError: the disk refused.
    """
    require_folder_above(output)
    with _open_volumes(locations) as (volumes, contents):
        work = _Joining(volumes, contents, output)
        progress.begin("joining", contents.manifest.stored_size)
        try:
            failed = work.copy_packs(progress)
            work.copy_parity()
            if not failed:
                failed = work.check_old(progress)
            if failed:
                raise refusal(work.situation(failed))
            work.publish()
        finally:
            progress.end()
    return JoinResult(contents.bundle, len(contents.manifest.packs), work.mended)


def repair(locations: Sequence[Location], progress: Progress) -> RepairResult:
    """Rebuild damaged and missing packs in the folders where they belong.

    Raises:
        UsageError: the locations hold different bundles.
        CorruptError, MissingError: not all of them could be made again; those that could are.
        StorageError: a folder cannot be written.
    """
    with _open_volumes(locations) as (volumes, contents):
        packs, copies = contents.manifest.packs, PackCopies(volumes)
        mending = ParityRepair(packs, copies, progress)
        progress.begin("looking for damage", contents.manifest.stored_size)
        try:
            failed = dict(_find_damaged(packs, copies, progress))
            home = _find_homes(volumes, contents)
            made = 0
            for index in sorted(failed):
                data = mending.take(index)
                if data is not None:
                    name = layout.pack_name(packs[index].digest)
                    write_atomically(home[index].folder, name, [data])
                    del failed[index]
                    made += 1
        finally:
            mending.close()
            progress.end()
        if failed:
            labels = read_labels(VolumesReader(volumes), contents.bundle, len(packs))
            raise refusal(MissingVolumes(failed, len(packs), labels))
        lost = _count_lost_parity(packs, copies)
    return RepairResult(contents.bundle, len(packs), made, lost)


@contextmanager
def _open_volumes(
    locations: Sequence[Location],
) -> Iterator[tuple[list[Volume], SmallFiles]]:
    """Open depots that hold one bundle, or parts of it. Nothing is verified."""
    with ExitStack() as stack:
        opened: list[Unverified] = [
            stack.enter_context(open_unverified(location)) for location in locations
        ]
        demand_one_bundle(locations, [bundle.bundle for bundle in opened])
        sources = [bundle.reader.packs for bundle in opened]
        if not all(source.volumes for source in sources):
            raise UsageError("Only folders can be joined or repaired.", "Give volumes.")
        volumes = [volume for source in sources for volume in source.volumes]
        yield volumes, _gather_small_files(opened)


def _gather_small_files(opened: Sequence[Unverified]) -> SmallFiles:
    """Collect the files beside the packs: a signature may be on one volume only."""
    first = read_small_files(opened[0])
    envelopes, roots = dict(first.envelopes), dict(first.roots)
    for bundle in opened[1:]:
        with suppress(AirgapError):  # scratched: it need not have what the first one has
            more = read_small_files(bundle)
            envelopes = more.envelopes | envelopes
            roots = more.roots | roots
    return replace(first, envelopes=envelopes, roots=roots)


class _Joining:
    """A depot that is being joined."""

    def __init__(self, volumes: Sequence[Volume], contents: SmallFiles, output: Path) -> None:
        self._contents = contents
        self._packs = contents.manifest.packs
        self._output = output
        self._writer = DepotWriter(output)
        self._here = DepotReader(output, contents.bundle)
        self._source = VolumesReader([*volumes, self._here])
        self._copies = PackCopies(self._source.volumes)
        self._labels = read_labels(VolumesReader(volumes), contents.bundle, len(self._packs))
        self._written: set[int] = set()
        self._bad: set[int] = set()
        self.mended = 0

    def copy_packs(self, progress: Progress) -> dict[int, AirgapError]:
        """Copy the packs that the depot lacks; return those that no volume has intact."""
        failed: dict[int, AirgapError] = {}
        wanted = {
            index
            for index, pack in enumerate(self._packs)
            if self._here.size_of(pack.digest) != pack.size
        }
        needed = sum(
            self._packs[pack].size
            for pack in wanted
            if self._copies.may_have(self._packs[pack].digest, self._packs[pack].size)
        )
        demand_room(self._output, needed)
        self._announce(needed, progress)
        read = map(self._check, self._source.read_packs(self._packs, wanted))
        for index, data in repair_packs(self._source.volumes, self._packs, read, progress):
            if isinstance(data, AirgapError):
                failed[index] = data
                continue
            self._writer.put_pack(self._packs[index].digest, [data])
            self._written.add(index)
            progress.advance(len(data))
        self.mended = len(self._bad - failed.keys())
        return failed

    def _announce(self, needed: int, progress: Progress) -> None:
        groups = self._copies.index(len(self._packs))
        parity_bytes = sum(
            len(group.parity) * measure_longest(self._packs, group.packs) for group in groups
        )
        use = DiskUse("joining", self._output, needed, needed + parity_bytes)
        with translate_errors(self._output):
            peaks = find_peaks([use])
        note_peaks(peaks, progress)

    def _check(self, read: tuple[int, Buffer | AirgapError]) -> tuple[int, Buffer | AirgapError]:
        index, data = read
        pack = self._packs[index]
        if isinstance(data, bytes) and hashlib.sha256(data).digest() != pack.digest:
            data = _damage_error(pack)
        if isinstance(data, AirgapError):
            self._bad.add(index)
        return index, data

    def copy_parity(self) -> None:
        """Copy the intact parity packs, and the parity index."""
        copies = self._copies
        groups = copies.index(len(self._packs))
        for group in groups:
            length = measure_longest(self._packs, group.packs)
            for digest in group.parity:
                self._copy_parity_pack(digest, length)
        if groups:
            name = layout.parity_index_name(self._contents.bundle)
            write_atomically(self._output, name, [parity.encode(groups)])

    def _copy_parity_pack(self, digest: bytes, length: int) -> None:
        if self._here.size_of(digest, is_parity=True) == length:
            return
        with self._copies.opened_parity(digest, length) as copy:
            if isinstance(copy, PackCopy):
                name = layout.parity_name(self._contents.bundle, digest)
                write_atomically(self._output, name, [copy.read(0, length)])

    def check_old(self, progress: Progress) -> dict[int, AirgapError]:
        """Hash what earlier runs wrote; remove damaged files and return their names."""
        failed: dict[int, AirgapError] = {}
        for index, pack in enumerate(self._packs):
            name = layout.pack_name(pack.digest)
            if index in self._written:
                continue
            if not has_digest(self._output, name, pack.size, pack.digest):
                failed[index] = _damage_error(pack)
                with suppress(FileNotFoundError):
                    (self._output / name).unlink()
            progress.advance(pack.size)
        return failed

    def publish(self) -> None:
        """Write the small files of the depot; the manifest comes last."""
        contents = self._contents
        for name, data in contents.roots.items():
            self._writer.put_root(name, data)
        digests = [
            digest
            for group in self._copies.index(len(self._packs))
            for digest in group.parity
            if self._here.size_of(digest, is_parity=True) is not None
        ]
        depot = Depot(self._writer.transport)
        files = leave_out_other_chains(depot, contents.bundle, contents.envelopes)
        self._writer.publish(contents.bundle, contents.raw, files, self._packs, digests)

    def situation(self, failed: Mapping[int, AirgapError]) -> MissingVolumes:
        """Return what the labels say about missing packs."""
        bad = {pack for pack, error in failed.items() if not isinstance(error, MissingError)}
        will_do = bool(bad) and can_restore(self._copies.index(len(self._packs)), bad)
        return MissingVolumes(
            failed, len(self._packs), self._labels, is_kept=True, parity_will_do=will_do
        )


def _find_damaged(
    packs: Sequence[Pack], copies: PackCopies, progress: Progress
) -> Iterator[tuple[int, AirgapError]]:
    """Yield the packs that no volume has intact, each with its error."""
    for index, pack in enumerate(packs):
        with ExitStack() as stack:
            copy = copies.open_pack(pack, stack)
            if isinstance(copy, AirgapError):
                yield index, copy
        progress.advance(pack.size)


def _find_homes(volumes: Sequence[Volume], contents: SmallFiles) -> dict[int, Volume]:
    """Return the folder of each pack: where a file has its name, else where its label says."""
    packs = contents.manifest.packs
    home = dict.fromkeys(range(len(packs)), volumes[0])
    for volume in volumes:
        labels = read_labels(VolumesReader([volume]), contents.bundle, len(packs))
        for index, pack in enumerate(packs):
            labelled = bool(labels) and labels[0].volume_of(index) == labels[0].number
            if labelled or volume.size_of(pack.digest) is not None:
                home[index] = volume
    return home


def _count_lost_parity(packs: Sequence[Pack], copies: PackCopies) -> int:
    lost = 0
    for group in copies.index(len(packs)):
        for digest in group.parity:
            with copies.opened_parity(digest, measure_longest(packs, group.packs)) as copy:
                lost += not isinstance(copy, PackCopy)
    return lost


def _damage_error(pack: Pack) -> AirgapError:
    return CorruptError(
        f"{layout.pack_name(pack.digest)} is damaged.", "Copy this file from its source again."
    )
