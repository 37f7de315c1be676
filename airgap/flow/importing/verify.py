"""Verify: everything that an import reads, without writing (format §11)."""

from dataclasses import dataclass, field, replace

from airgap.flow.bundle.open_bundle import Opened
from airgap.flow.chunks.missing_chunks import MissingChunks
from airgap.flow.importing.descriptions import Descriptions
from airgap.flow.importing.stock_archive import verify_members
from airgap.flow.importing.targets import FileDigests, Targets, run_file_digesters
from airgap.flow.importing.unpack import ChunkConsumer, WantedPacks, plain_chunks
from airgap.flow.media.missing_volumes import MissingVolumes, refusal
from airgap.flow.media.pack_copies import PackCopies
from airgap.flow.media.parity import ParityStatus, check_parity
from airgap.flow.media.resume import find_missing_volumes
from airgap.flow.progress import Progress

__all__ = ["ContentResult", "verify_content", "verify_volumes"]


@dataclass(frozen=True, slots=True)
class ContentResult:
    """What ``verify`` has read."""

    bytes_read: int
    missing: MissingVolumes | None = None
    """The volumes that were not given, if some were not."""
    parity: ParityStatus = field(default_factory=ParityStatus)


def verify_content(opened: Opened, *, jobs: int, progress: Progress) -> int:
    """Read everything that an import would read, write nothing; return the bytes read.

    Raises:
        MissingError, CorruptError, StorageError: as ``import_bundle``.
    """
    result = verify_volumes(opened, jobs=jobs, progress=progress)
    if result.missing:
        raise refusal(result.missing)
    return result.bytes_read


def verify_volumes(opened: Opened, *, jobs: int, progress: Progress) -> ContentResult:
    """Read everything that an import would read; missing whole volumes are not an error.

    Raises:
        MissingError, CorruptError, StorageError: as ``import_bundle``; also that a volume lacks
            something that it should have.
    """
    archive = opened.reader.stock_archive
    if archive:
        return ContentResult(verify_members(archive, opened.manifest.value.items, progress))
    return _verify_packs(opened, jobs=jobs, progress=progress)


def _verify_packs(opened: Opened, *, jobs: int, progress: Progress) -> ContentResult:
    """Read all packs, write nothing.

    Every pack's digest is compared, that of every chunk that a file uses, and a file's own digest
    wherever its chunks come in its order (format §11).

    Raises:
        MissingError, CorruptError, StorageError: as ``verify_volumes``.
    """
    manifest = opened.manifest.value
    targets = Targets(manifest, manifest.items)
    digests = FileDigests(manifest, manifest.items)
    descriptions = Descriptions(manifest.items, thorough=True)
    described = descriptions.chunks
    packs = WantedPacks(opened.packs, manifest, range(len(manifest.packs)))
    base = MissingChunks(manifest, opened.chunk_sources)
    absent = base.find(range(len(manifest.chunks)))
    for chunk in described - absent:
        if chunk >= manifest.carried:  # it will not come by below
            descriptions.feed(targets, chunk, base.read(chunk))
    with run_file_digesters(jobs) as digesters:
        work = ChunkConsumer(
            "verifying",
            wanted=lambda chunk: chunk in targets and chunk not in absent,
            covered=digests.covers,
            write=None,
            after=digesters.when_done,
            base=base.read,
            whole=base.read_whole,
        )
        for pieces in plain_chunks(packs, work, jobs, progress):
            digests.feed(targets, pieces, digesters)
            for chunk, data in pieces:
                if chunk in described:
                    descriptions.feed(targets, chunk, data)
    lost = sum(manifest.packs[index].size for index in work.failed)
    missing = find_missing_volumes(opened, work.failed) if work.failed else None
    if missing and (not missing.labels or missing.bad):
        raise refusal(missing)
    digests.refuse_wrong()
    base.refuse(absent, packs_are_read=not work.failed)
    if not missing:
        descriptions.refuse_incomplete()
    parity = replace(
        check_parity(manifest.packs, PackCopies(opened.packs.volumes)),
        packs_restored=len(work.restored),
    )
    return ContentResult(manifest.stored_size - lost, missing, parity)
