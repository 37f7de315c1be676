"""Copies of bundles from any location to any. No key is needed, and nothing is trusted.

Packs are compared with their names, and those that are there are skipped, so that a copy that was
interrupted continues when it is run again. The reader of the copy decides whether to trust it.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.carrier.port import BundleWriter
from airgap.disk.os_errors import translate_errors
from airgap.errors import AirgapError, CorruptError, MissingError, UsageError
from airgap.flow.bundle import model_signatures, open_bundle
from airgap.flow.bundle.open_bundle import Unverified
from airgap.flow.bundle.signature_files import read_signature_files
from airgap.flow.disk_use import Peak, demand_peaks, find_peaks, note_peaks
from airgap.flow.exporting.destination_uses import list_uses
from airgap.flow.exporting.forecast import Forecast
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import ArchiveFile, LocalDepot, Location
from airgap.flow.location.writers import open_writer, takes_one_bundle
from airgap.flow.media.missing_volumes import merge_errors
from airgap.flow.media.split import VolumeOptions
from airgap.flow.progress import PackItems, Progress
from airgap.flow.publishing.publish import SignedBundle, publish
from airgap.flow.publishing.sealed_writer import SealedWriter, Sealing, measure_room
from airgap.format import envelope as dsse
from airgap.format import layout, tar
from airgap.format.manifest import Pack
from airgap.format.root import SignedRoot
from airgap.format.root import decode as decode_root

__all__ = ["CopyResult", "copy_bundle", "copy_opened", "require_one"]


@dataclass(frozen=True, slots=True)
class CopyResult:
    """One bundle that was copied: how many packs were sent, and how many were there already."""

    bundle: str
    packs_copied: int
    packs_there: int
    bytes_copied: int
    peaks: tuple[Peak, ...] = ()
    """The space that was expected to be needed on each file system."""


def copy_bundle(
    source: Location, destination: Location, progress: Progress, connector: Connector = LOCAL
) -> list[CopyResult]:
    """Copy one bundle, or all bundles of a depot, with all that lies beside their packs.

    Sealed bundles are copied as they are.

    Raises:
        MissingError, CorruptError: a pack is missing or damaged. All others are copied; the bundle
            is not published.
        MissingError: the folder above the destination does not exist.
        UsageError: a single file cannot hold several bundles, or it is an archive for stock
            BentoML.
        TransportError, StorageError: a location cannot be reached, read or written.
    """
    if isinstance(destination, LocalDepot | ArchiveFile):
        require_folder_above(destination.path)
    with open_bundle.open_all(source, connector) as (count, opened):
        require_one(source, count, destination)
        return [copy_opened(bundle, destination, progress, connector) for bundle in opened]


def require_one(source: Location, count: int, destination: Location) -> None:
    """Refuse to put several bundles into a single file. Raises UsageError."""
    if count > 1 and takes_one_bundle(destination):
        raise UsageError(
            f"{source} holds {count} bundles, and a single file takes one.",
            "Name the one you want: DEPOT#ID.",
        )


def copy_opened(
    opened: Unverified,
    destination: Location,
    progress: Progress,
    connector: Connector,
    sealing: Sealing | None = None,
) -> CopyResult:
    """Copy one bundle that is open; encrypted on the way, if ``sealing`` says to whom.

    Raises:
        AirgapError: as ``copy_bundle``.
    """
    if opened.reader.stock_archive:
        raise UsageError(
            "airgap does not copy archives for stock BentoML.",
            f"Copy {opened.reader.location} and the files that begin with its name.",
        )
    for volume in opened.reader.packs.volumes:
        if (volume.folder / layout.parity_index_name(opened.bundle)).exists():
            progress.note(f"Parity is not copied: bundle {opened.bundle} arrives without it.")
    files = read_signature_files(opened.reader) | opened.reader.read_attachments()
    roots = dict(_read_root_files(opened))
    room = len(opened.raw) + sum(
        tar.round_to_block(len(data)) + tar.BLOCK for data in files.values()
    )
    peaks = _foresee(opened, destination, room, roots, connector)
    note_peaks(peaks, progress)
    most = measure_room(room) if sealing else room
    with open_writer(destination, lambda: most, connector) as below:
        sealed = SealedWriter(below, sealing, progress) if sealing else None
        writer = sealed or below
        try:
            for name, data in roots.items():
                writer.put_root(name, data)
            result = _copy_packs(opened, writer, progress)
            files |= model_signatures.read(opened.reader.packs, opened.manifest)
            packs = opened.manifest.packs
            publish(writer, SignedBundle(opened.bundle, opened.raw, files, packs), progress)
        finally:
            writer.abort()
    bundle = sealed.index.bundle if sealed and sealed.index else opened.bundle
    return replace(result, bundle=bundle, peaks=peaks)


def _foresee(
    opened: Unverified,
    destination: Location,
    room: int,
    roots: Mapping[str, bytes],
    connector: Connector,
) -> tuple[Peak, ...]:
    """Return what a copy needs on each file system, if there is room for it.

    Packs of a local depot that have their size count as there. ``room`` is the bytes of the
    manifest and of what is signed.

    Raises:
        StorageError: a file system is too small, or cannot be looked at.
    """
    packs = opened.manifest.packs
    target = destination.path if isinstance(destination, LocalDepot) else None
    new = tuple(pack for pack in packs if target is None or not _has_size(target, pack))
    forecast = Forecast(packs, new, sum(pack.size for pack in new), room, room, is_exact=True)
    with translate_errors(target or tempfile.gettempdir()):
        uses = list_uses(destination, forecast, VolumeOptions(), roots, connector)
        peaks = find_peaks(uses)
    demand_peaks(peaks)
    return peaks


def _has_size(depot: Path, pack: Pack) -> bool:
    with suppress(OSError):
        return (depot / layout.pack_name(pack.digest)).lstat().st_size == pack.size
    return False


def _copy_packs(opened: Unverified, writer: BundleWriter, progress: Progress) -> CopyResult:
    packs = opened.manifest.packs
    wanted = {index for index, pack in enumerate(packs) if writer.lacks(pack)}
    size = sum(packs[index].size for index in wanted)
    copied: list[int] = []
    problems: list[AirgapError] = []
    progress.begin("copying", size)
    items = PackItems(opened.manifest, progress)
    try:
        for index, data in opened.reader.packs.read_packs(packs, wanted):
            pack = packs[index]
            items.name(index)
            if isinstance(data, AirgapError):
                problems.append(data)
            elif hashlib.sha256(data).digest() != pack.digest:
                problems.append(_damaged_pack(layout.pack_name(pack.digest)))
            else:
                copied += [pack.size] if writer.put_pack(pack.digest, [data]) else []
            progress.advance(pack.size)
    finally:
        progress.end()
    if problems:
        raise merge_errors(problems, len(packs))
    return CopyResult(opened.bundle, len(copied), len(packs) - len(copied), sum(copied))


def _read_root_files(opened: Unverified) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the roots that travel with a bundle."""
    for root in _read_roots(opened):
        version = decode_root(root.raw).version
        for envelope in root.envelopes:
            yield layout.root_envelope_name(version, dsse.decode(envelope).key_id), envelope
        yield layout.root_name(version), root.raw


def _read_roots(opened: Unverified) -> Sequence[SignedRoot]:
    with suppress(MissingError):
        return opened.reader.read_roots()
    return ()


def _damaged_pack(name: str) -> CorruptError:
    return CorruptError(
        f"{name} is damaged: its bytes do not have the SHA-256 of its name.",
        "Copy this file from its source again.",
    )
