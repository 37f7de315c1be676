"""Packs that are on their way to a server take the room that was foreseen for them, and no more."""

import threading
from hashlib import sha256
from pathlib import Path

from airgap.carrier.depot import Depot, DepotOptions
from airgap.carrier.remote_depot import RemoteDepotWriter
from airgap.flow.exporting.destination_uses import list_uses
from airgap.flow.exporting.forecast import Forecast
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.location import parse_depot
from airgap.flow.media.split import VolumeOptions
from airgap.format.manifest import Pack
from airgap.transport.folder import FolderTransport
from airgap.transport.port import Pace, Stored
from tests.support.disk_watch import measure_blocks
from tests.support.stores import noise

JOBS = 2
SIZES = (300_000, 500_000, 800_000, 700_000)
SECONDS = 20.0


class MeetingTransport(FolderTransport):
    """Two uploads wait for each other, and look at what is in the spool folder meanwhile."""

    def __init__(self, top: Path, spool: Path, meeting: threading.Barrier, seen: list[int]) -> None:
        super().__init__(top)
        self._top_folder, self._spool = top, spool
        self._meeting, self._seen = meeting, seen

    def put(
        self,
        name: str,
        source: Path,
        size: int,
        part: str | None = None,
        pace: Pace | None = None,
    ) -> Stored:
        self._meeting.wait(SECONDS)
        self._seen.append(measure_blocks(self._spool))
        self._meeting.wait(SECONDS)
        return super().put(name, source, size, part, pace)

    def clone(self) -> "MeetingTransport":
        return MeetingTransport(self._top_folder, self._spool, self._meeting, self._seen)


def test_an_upload_has_as_many_packs_in_the_spool_folder_as_was_foreseen(tmp_path: Path) -> None:
    spool, depot = tmp_path / "spool", tmp_path / "depot"
    spool.mkdir()
    depot.mkdir()
    seen: list[int] = []
    packs = tuple(Pack(b"", size, ()) for size in SIZES)
    forecast = Forecast(packs, packs, sum(SIZES), 1000, 2000, is_exact=True)
    connector = Connector(transfer=TransferOptions(jobs=JOBS, spool=spool))
    location = parse_depot("sftp://server/depot")

    (use,) = list_uses(location, forecast, VolumeOptions(), {}, connector)
    transport = MeetingTransport(depot, spool, threading.Barrier(JOBS), seen)
    writer = RemoteDepotWriter(Depot(transport, DepotOptions(jobs=JOBS, spool=spool)))
    for number, size in enumerate(SIZES):
        data = noise(size, number)
        writer.put_pack(sha256(data).digest(), [data])
    writer.publish("0" * 64, b"manifest", {}, ())
    writer.abort()

    assert use.folder == spool
    assert 0.9 * use.size < max(seen) <= use.size
