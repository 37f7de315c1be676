"""An import whose volumes come one by one: what it believes, keeps and tells between its runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from airgap.carrier.port import PackSource
from airgap.disk.durable import sync_file_system
from airgap.errors import AirgapError, MissingError
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import covers
from airgap.flow.media.recovery import Recovery
from airgap.flow.media.volumes import VolumesReader, read_labels
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.store.staging import StagedItem
from airgap.store.volume_progress import VolumeProgress, VolumeRecord

__all__ = ["VolumeResume", "situation"]


def situation(opened: Opened, failed: Mapping[int, AirgapError]) -> MissingVolumes:
    """Return what labels say about packs that could not be had."""
    packs = len(opened.manifest.value.packs)
    return MissingVolumes(failed, packs, read_labels(opened.packs, opened.bundle, packs))


class VolumeResume:
    """One run of such an import."""

    def __init__(self, opened: Opened, staged: Sequence[StagedItem]) -> None:
        """Read what earlier runs have left for this one."""
        self._opened = opened
        self._staged = staged
        self._packs = opened.manifest.value.packs
        self._journal = VolumeProgress(staged[0].target, opened.bundle)
        self._seen = self._journal.load()
        self._recovery = Recovery(self._journal.recovery, opened.bundle, self._packs)

    @property
    def source(self) -> PackSource:
        """Where packs come from in this run: also from what earlier runs have kept."""
        volumes = self._opened.packs.volumes
        if volumes and self._journal.recovery.is_dir():
            return VolumesReader([*volumes, self._recovery.reader])
        return self._opened.packs

    @property
    def hinted(self) -> frozenset[int]:
        """The chunks that earlier runs have staged, if the journal is right."""
        packs = [self._packs[one] for one in self._seen.staged if one < len(self._packs)]
        return frozenset(chunk for pack in packs for chunk in pack.chunk_range)

    def refusal(
        self, failed: Mapping[int, AirgapError], wanted: int, progress: Progress
    ) -> AirgapError:
        """Keep what the next run can use, and say what is still missing.

        Raises:
            StorageError: the disk refused.
        """
        found = replace(situation(self._opened, failed), total=wanted)
        if not found.labels:  # no volumes: what lies in staging speaks for itself (decision 0005)
            return refusal(found)
        damaged = {one for one, error in failed.items() if not isinstance(error, MissingError)}
        damaged |= self._seen.damaged.intersection(failed)
        for folder in {one.target.store: one.folder for one in self._staged}.values():
            if folder.is_dir():
                sync_file_system(folder)
        staged = frozenset(range(len(self._packs))).difference(failed)
        self._journal.save(VolumeRecord(staged, frozenset(damaged)))
        names = {one: layout.pack_name(self._packs[one].digest) for one in damaged}
        found = replace(found, damaged_before=frozenset(damaged), names=names, is_kept=True)
        if damaged:
            self._recovery.keep(damaged, PackCopies(self.source.volumes), progress)
            if covers(self._recovery.groups(), damaged):
                again = self._recovery.once_more(damaged, found.labels[0])
                found = replace(found, parity_will_do=True, once_more=again)
        return refusal(found)

    @contextmanager
    def doubted(self) -> Iterator[None]:
        """If the block fails, let the next run hash everything: the journal may be wrong."""
        try:
            yield
        except (AirgapError, OSError):
            self._journal.forget()
            raise
