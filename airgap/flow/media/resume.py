"""An import whose volumes are read one by one: what it records and keeps between runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from airgap.carrier.port import PackSource
from airgap.disk.durable import sync_file_system
from airgap.errors import AirgapError, MissingError
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import can_restore
from airgap.flow.media.recovery import Recovery
from airgap.flow.media.volumes import VolumesReader, read_labels
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.store.staging import StagedItem
from airgap.store.volume_progress import VolumeProgress, VolumeRecord

__all__ = ["VolumeResume", "find_missing_volumes"]


def find_missing_volumes(opened: Opened, failed: Mapping[int, AirgapError]) -> MissingVolumes:
    """Return what the labels say about packs that could not be read."""
    packs = len(opened.manifest.value.packs)
    return MissingVolumes(failed, packs, read_labels(opened.packs, opened.bundle, packs))


class VolumeResume:
    """One run of an import from volumes."""

    def __init__(self, opened: Opened, staged: Sequence[StagedItem]) -> None:
        """Read what earlier runs left for this one."""
        self._opened = opened
        self._staged = staged
        self._packs = opened.manifest.value.packs
        self._volume_progress = VolumeProgress(staged[0].target, opened.bundle)
        self._record = self._volume_progress.load()
        self._recovery = Recovery(self._volume_progress.recovery, opened.bundle, self._packs)

    @property
    def source(self) -> PackSource:
        """The source of packs in this run, including those that earlier runs kept."""
        volumes = self._opened.packs.volumes
        if volumes and self._volume_progress.recovery.is_dir():
            return VolumesReader([*volumes, self._recovery.reader])
        return self._opened.packs

    @property
    def hinted(self) -> frozenset[int]:
        """The chunks that earlier runs staged, if the record is correct."""
        packs = [self._packs[index] for index in self._record.staged if index < len(self._packs)]
        return frozenset(chunk for pack in packs for chunk in pack.chunk_range)

    def suspend(
        self, failed: Mapping[int, AirgapError], wanted: int, progress: Progress
    ) -> AirgapError:
        """Keep what the next run can use; return the error that lists what is missing.

        Raises:
            StorageError: the disk refused.
        """
        missing = replace(find_missing_volumes(self._opened, failed), total=wanted)
        if not missing.labels:  # no volumes: what lies in staging speaks for itself (decision 0005)
            return refusal(missing)
        damaged = {index for index, error in failed.items() if not isinstance(error, MissingError)}
        damaged |= self._record.damaged.intersection(failed)
        for folder in {item.target.store: item.folder for item in self._staged}.values():
            if folder.is_dir():
                sync_file_system(folder)
        staged = frozenset(range(len(self._packs))).difference(failed)
        self._volume_progress.save(VolumeRecord(staged, frozenset(damaged)))
        names = {index: layout.pack_name(self._packs[index].digest) for index in damaged}
        missing = replace(missing, damaged_before=frozenset(damaged), names=names, is_kept=True)
        if damaged:
            self._recovery.keep(damaged, PackCopies(self.source.volumes), progress)
            if can_restore(self._recovery.groups(), damaged):
                again = self._recovery.once_more(damaged, missing.labels[0])
                missing = replace(missing, parity_will_do=True, once_more=again)
        return refusal(missing)

    @contextmanager
    def forget_on_error(self) -> Iterator[None]:
        """If the block fails, make the next run hash everything: the record may be wrong."""
        try:
            yield
        except (AirgapError, OSError):
            self._volume_progress.forget()
            raise
