"""From packs to files in staging, verified down to every file (format §11 steps 5 and 6)."""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Final

from airgap.codec.buffer import Buffer
from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.chunks.missing_chunks import MissingChunks
from airgap.flow.importing.targets import FileDigests, Targets, run_file_digesters
from airgap.flow.importing.unpack import (
    ChunkConsumer,
    Pieces,
    WantedPacks,
    plain_chunks,
)
from airgap.flow.media.resume import VolumeResume
from airgap.flow.pipeline import limit_ahead, map_in_order, run_workers
from airgap.flow.progress import Progress
from airgap.format.manifest import Manifest
from airgap.store.staging import StagedItem

__all__ = ["stage_packs"]

_SMALL_BYTES: Final = 64 * 1024
"""To create the file of such a chunk takes longer than to write it."""


def stage_packs(
    opened: Opened, staged: Sequence[StagedItem], *, jobs: int, progress: Progress
) -> None:
    """Write every file of the staged items, and compare its digest.

    What an earlier try has left in staging is hashed and used again.

    Raises:
        MissingError, CorruptError, StorageError: as ``import_bundle``.
    """
    manifest = opened.manifest.value
    items = [staged_item.item for staged_item in staged]
    targets = Targets(manifest, items)
    digests = FileDigests(manifest, items)
    resume = VolumeResume(opened, staged)
    verified = _find_verified(staged, manifest, resume.hinted)
    missing = [at for at in range(len(manifest.chunks)) if at in targets and at not in verified]
    base = MissingChunks(manifest, opened.chunk_sources)
    base.refuse(base.find(missing))
    writer = _Writer(staged, targets)

    with run_workers(jobs) as pool:
        needed = (chunk for chunk in missing if chunk >= manifest.carried)
        for _ in map_in_order(
            pool, lambda chunk: writer.write(chunk, base.read(chunk)), needed, limit_ahead(jobs)
        ):
            pass
    packs = WantedPacks(resume.source, manifest, _find_packs(manifest, missing))
    with run_file_digesters(jobs) as digesters:
        small = digesters.begin()
        work = ChunkConsumer(
            "importing",
            wanted=targets.__contains__,
            covered=digests.covers,
            write=writer.write_large,
            after=digesters.when_done,
            base=base.read,
            whole=base.read_whole,
        )
        for pieces in plain_chunks(packs, work, jobs, progress):
            if writer.has_small(pieces):
                small.submit(partial(writer.write_small, pieces))
            digests.feed(targets, pieces, digesters)
    if work.failed:
        raise resume.suspend(work.failed, len(packs.indexes), progress)
    with resume.forget_on_error():
        for staged_item in staged:
            staged_item.finish()
        digests.read_back(staged)
        digests.refuse_wrong()


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes chunks everywhere they go: large ones from any thread, small ones from one.

    Several threads that make files in one folder would wait for its lock.
    """

    staged: Sequence[StagedItem]
    targets: Targets

    def write(self, chunk: int, data: Buffer) -> None:
        for item, file, _, offset in self.targets[chunk]:
            self.staged[item].write(file, offset, data)

    def write_large(self, chunk: int, data: Buffer) -> None:
        if len(data) > _SMALL_BYTES:
            self.write(chunk, data)

    def has_small(self, pieces: Pieces) -> bool:
        """Tell whether ``write_small`` has anything to do."""
        return any(len(data) <= _SMALL_BYTES for _, data in pieces)

    def write_small(self, pieces: Pieces) -> None:
        for chunk, data in pieces:
            if len(data) <= _SMALL_BYTES:
                self.write(chunk, data)


def _find_packs(manifest: Manifest, chunks: Sequence[int]) -> frozenset[int]:
    """Return the packs that carry any of these chunks."""
    wanted = set(chunks)
    return frozenset(
        index
        for index, pack in enumerate(manifest.packs)
        if not wanted.isdisjoint(pack.chunk_range)
    )


def _find_verified(
    staged: Sequence[StagedItem], manifest: Manifest, hinted: AbstractSet[int]
) -> frozenset[int]:
    """Hash what an earlier try has left in staging; return the chunks that are whole everywhere.

    Hinted chunks are believed for now: ``FileDigests.read_back`` hashes their files in the end.
    """
    whole: set[int] = set()
    broken: set[int] = set()
    begun = [staged_item for staged_item in staged if staged_item.was_begun()]
    if not begun:
        return frozenset()
    for staged_item in begun:
        staged_item.begin()
    for staged_item in staged:
        for file in staged_item.item.files:
            lengths = [manifest.chunks.lengths[chunk] for chunk in file.chunks]
            is_open = [staged_item not in begun or chunk not in hinted for chunk in file.chunks]
            pieces = staged_item.read_back(file, lengths, is_open)
            for chunk, to_hash in zip(file.chunks, is_open, strict=True):
                same = not to_hash or _is_chunk(next(pieces, b""), manifest, chunk)
                (whole if same else broken).add(chunk)
    return frozenset(whole - broken)


def _is_chunk(piece: bytes, manifest: Manifest, chunk: int) -> bool:
    return hashlib.sha256(piece).digest() == manifest.chunks.digest(chunk)
