"""What an export will need on each file system, before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from airgap.disk.os_errors import storage_error
from airgap.disk.temporary import find_temporary_folder
from airgap.flow.disk_use import DiskUse, Peak, demand_peaks, find_peaks
from airgap.flow.exporting.destination_uses import list_uses, list_volume_uses
from airgap.flow.exporting.forecast import Forecast, forecast_bundle
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.stock_forecast import measure_stock
from airgap.flow.exporting.write_bundle import BundleOptions, manifest_room
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import (
    LocalDepot,
    Location,
    RemoteStockArchive,
    StockArchive,
)
from airgap.flow.media.split import VolumeOptions
from airgap.transport.spool import Spool

__all__ = ["Foreseen", "foresee", "spool_folder"]

_HINT = ", or name folders on other disks (-o, --tmpdir)"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an export will need. ``forecast`` is None for an archive that has no packs."""

    peaks: tuple[Peak, ...]
    forecast: Forecast | None = None


def foresee(
    sources: Sequence[Source],
    location: Location | None,
    settings: BundleOptions,
    media: VolumeOptions,
    connector: Connector,
) -> Foreseen:
    """Return what an export of these items needs on each file system, if there is room for it.

    ``location`` is None for volumes on the folders of ``media``.

    Raises:
        StorageError: a file system or the media are too small; or a file changed since it was
            scanned, or cannot be read.
        MissingError: a medium is not there.
    """
    spool = Spool.find_parent(connector.transfer.spool)
    forecast: Forecast | None = None
    try:
        if isinstance(location, StockArchive | RemoteStockArchive):
            uses = [_measure_stock(sources, location, settings, spool)]
        elif location is None or (isinstance(location, LocalDepot) and media.makes_volumes):
            folder = spool_folder(media) or spool
            forecast = forecast_bundle(sources, settings, spool_folder(media))
            uses = list(list_volume_uses(forecast, media, settings, folder))
        else:
            target = location.path if isinstance(location, LocalDepot) else None
            forecast = forecast_bundle(sources, settings, target)
            uses = list(list_uses(location, forecast, media, settings.roots, connector))
        peaks = find_peaks(uses)
    except OSError as error:
        raise storage_error(error, error.filename or find_temporary_folder(spool)) from error
    demand_peaks(peaks, _HINT)
    return Foreseen(peaks, forecast)


def spool_folder(media: VolumeOptions) -> Path | None:
    """Return the folder in which a depot is written whose packs are then renamed into volumes.

    None if the volumes are on media that are mounted.
    """
    return None if media.folders else media.output / "spool.part"


def _measure_stock(
    sources: Sequence[Source],
    location: StockArchive | RemoteStockArchive,
    settings: BundleOptions,
    spool: Path,
) -> DiskUse:
    room = manifest_room(sources, settings)
    if isinstance(location, RemoteStockArchive):
        return measure_stock("spooling the archive", spool, location.form, sources, room)
    folder = location.path if location.form == "folder" else location.path.parent
    return measure_stock("writing the archive", folder, location.form, sources, room)
