"""What an export has on the disk at each of its steps, by where the bundle goes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from airgap.carrier.archive import ENVELOPE_ROOM
from airgap.carrier.texts import texts
from airgap.disk.part_file import measure_abandoned
from airgap.disk.space import has_holes, measure_block, round_up
from airgap.errors import UsageError
from airgap.flow.disk_use import DiskUse
from airgap.flow.exporting.forecast import Forecast
from airgap.flow.exporting.stored_packs import StoredPacks
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import (
    ArchiveFile,
    LocalDepot,
    Location,
    RemoteArchive,
    RemoteDepot,
    RemoteStockArchive,
    StandardInput,
    StockArchive,
)
from airgap.flow.media.earlier_layout import measure_beside_packs
from airgap.flow.media.parity import Draft, draft_groups, measure_longest
from airgap.flow.media.plan import Part, measure_free_space, plan
from airgap.flow.media.split import Rooms, VolumeOptions
from airgap.format import limits, tar
from airgap.format.manifest import Pack
from airgap.store.health import find_existing
from airgap.transport.spool import Spool

__all__ = ["list_uses", "list_volume_uses"]

_SIGNATURES: Final = 16 * limits.KIB
"""Envelopes and checksums, unless there are thousands of packs."""
_LINE_BYTES: Final = 80
"""In the checksums, for each pack."""
_PACK_FOLDERS: Final = 256
_FOLDERS: Final = 6


def list_uses(
    location: Location,
    forecast: Forecast,
    media: VolumeOptions,
    roots: Mapping[str, bytes],
    connector: Connector,
) -> Iterator[DiskUse]:
    """Yield what an export of packs into a location has on the disks of this machine.

    Raises:
        ConfigurationError: a setting of a named remote is wrong.
        OSError: a folder cannot be looked at.
    """
    spool = Spool.find_parent(connector.transfer.spool)
    most = forecast.manifest_most + connector.transfer.room
    forecast = replace(forecast, manifest_most=most)
    match location:
        case LocalDepot(path):
            yield _measure_depot("writing packs", path, forecast, roots)
            if media.percent:
                groups = draft_groups(forecast.packs, media.percent)
                parity = _measure_parity(forecast.packs, groups)
                yield _measure_depot("adding parity", path, forecast, roots, parity)
        case ArchiveFile(path):
            use = _measure_file("writing the file", path.parent, forecast, roots)
            yield _subtract(use, measure_abandoned(path))
        case RemoteArchive() | StandardInput():
            yield _measure_file("spooling the file", spool, forecast, roots)
        case RemoteDepot():
            block = measure_block(find_existing(spool.absolute()))
            sizes = sorted(round_up(pack.size, block) for pack in forecast.new)
            most = sum(sizes[-connector.count_jobs(location) :])
            yield DiskUse("sending packs", spool, most + block)
        case StockArchive() | RemoteStockArchive():
            raise UsageError(f"{location} has no packs.", "Name a depot or a .airgap file.")


def _measure_depot(
    step: str, folder: Path, forecast: Forecast, roots: Mapping[str, bytes], more: int = 0
) -> DiskUse:
    """Return what the new packs of a bundle take in a local depot, with all that is beside them.

    ``more`` is in bytes.
    """
    block = measure_block(find_existing(folder.absolute()))
    packs = sum(round_up(pack.size, block) for pack in forecast.new)
    beside = _measure_beside(forecast, roots, len(forecast.new), block)
    return _make_use(step, folder, forecast, packs + beside + more, block)


def _measure_beside(forecast: Forecast, roots: Mapping[str, bytes], packs: int, block: int) -> int:
    """Return what is beside so many packs in a depot: its folders and small files."""
    small = [*map(len, roots.values()), forecast.manifest, _SIGNATURES]
    small += [*map(len, texts().values()), _LINE_BYTES * len(forecast.packs)]
    folders = min(packs, _PACK_FOLDERS) + _FOLDERS
    return sum(round_up(size, block) for size in small) + folders * block


def _measure_file(
    step: str, folder: Path, forecast: Forecast, roots: Mapping[str, bytes]
) -> DiskUse:
    """Return what a ``.airgap`` file takes. The room for its manifest may be a hole in it."""
    existing = find_existing(folder.absolute())
    block = measure_block(existing)
    room = tar.round_to_block(forecast.manifest_most) + ENVELOPE_ROOM
    front = forecast.manifest + _SIGNATURES if has_holes(existing) else room
    members = [pack.size for pack in forecast.packs]
    members += [*map(len, roots.values()), *map(len, texts().values())]
    members.append(_LINE_BYTES * len(forecast.packs))
    size = sum(tar.BLOCK + tar.round_to_block(member) for member in members)
    return _make_use(step, folder, forecast, size + round_up(front, block) + 2 * block, block)


def _subtract(use: DiskUse, size: int) -> DiskUse:
    """Take off what an interrupted run has written; it is gone on with, or removed."""
    most = None if use.most is None else max(0, use.most - size)
    return replace(use, size=max(0, use.size - size), most=most)


def _make_use(step: str, folder: Path, forecast: Forecast, size: int, block: int) -> DiskUse:
    """Return a use; of an estimate, with what it cannot exceed."""
    if forecast.is_exact:
        return DiskUse(step, folder, size)
    most = size - sum(pack.size for pack in forecast.new) + forecast.most
    most += forecast.manifest_most - forecast.manifest
    most += (forecast.most // limits.PACK_TARGET_BYTES + forecast.rows) * block
    return DiskUse(step, folder, size, most)


def list_volume_uses(
    forecast: Forecast,
    media: VolumeOptions,
    settings: BundleOptions,
    spool: Path,
) -> Iterator[DiskUse]:
    """Yield what an export has in the depot that it writes first, and then on the volumes.

    Raises:
        StorageError: the media are too small or too few.
        MissingError: a medium is not there.
        OSError: a folder cannot be looked at.
    """
    groups = draft_groups(forecast.packs, media.percent)
    parts = _plan_volumes(forecast, media, settings, groups)
    yield _measure_depot("packing", spool, forecast, settings.roots)
    if not media.folders:  # its packs are renamed into the volumes
        block = measure_block(find_existing(spool.absolute()))
        more = _measure_parity(forecast.packs, groups)
        for part in parts:
            more += _measure_beside(forecast, settings.roots, len(part.packs), block) + 2 * block
        yield _measure_depot("writing volumes", spool, forecast, settings.roots, more)
        return
    yield _measure_depot("writing volumes", spool, forecast, settings.roots)
    for part, folder in zip(parts, media.folders, strict=False):
        block = measure_block(folder)
        held = sum(round_up(forecast.packs[index].size, block) for index in part.packs)
        for group, _ in part.parity:
            held += round_up(measure_longest(forecast.packs, groups[group][0]), block)
        held -= StoredPacks(folder).measure(forecast.packs, is_exact=forecast.is_exact)
        beside = _measure_beside(forecast, settings.roots, len(part.packs), block) + 2 * block
        yield DiskUse("writing volumes", folder, max(0, held) + beside)


def _plan_volumes(
    forecast: Forecast, media: VolumeOptions, settings: BundleOptions, groups: Sequence[Draft]
) -> list[Part]:
    free = measure_free_space(media.folders)
    for at, folder in enumerate(media.folders):  # what an earlier try has left there
        free[at] += StoredPacks(folder).measure(forecast.packs, is_exact=forecast.is_exact)
        free[at] += measure_beside_packs(folder)
    small = [forecast.manifest, _SIGNATURES, *map(len, settings.roots.values())]
    lines = len(forecast.packs) + sum(rows for _, rows in groups)
    rooms = Rooms(media, free, small, settings.labels, lines)
    return plan(forecast.packs, groups, rooms, rooms.resize)


def _measure_parity(packs: Sequence[Pack], groups: Sequence[Draft]) -> int:
    return sum(rows * measure_longest(packs, members) for members, rows in groups)
