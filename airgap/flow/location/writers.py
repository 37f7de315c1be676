"""From a location to a writer of one bundle."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from airgap.carrier.archive import ENVELOPE_ROOM, ArchiveWriter
from airgap.carrier.local_depot import DepotWriter
from airgap.carrier.remote_archive import send_file
from airgap.carrier.remote_depot import RemoteDepotWriter
from airgap.disk.descriptors import pass_on
from airgap.disk.os_errors import storage_error
from airgap.errors import (
    AirgapError,
    InterruptedByUser,
    StorageError,
    TransportError,
    UsageError,
)
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.location import (
    SUFFIX,
    ArchiveFile,
    LocalDepot,
    Location,
    RemoteArchive,
    RemoteDepot,
    RemoteStockArchive,
    StandardInput,
    StockArchive,
)
from airgap.flow.progress import Progress
from airgap.format import layout
from airgap.transport.port import Transport
from airgap.transport.spool import Spool

__all__ = ["Writer", "measure_attachment_room", "open_writer", "takes_one_bundle"]

Writer: TypeAlias = ArchiveWriter | DepotWriter | RemoteDepotWriter
Room: TypeAlias = Callable[[], int]
"""Returns a number of bytes that the manifest cannot exceed."""

_COPY_BYTES: Final = 1024 * 1024


def takes_one_bundle(location: Location) -> bool:
    """Tell whether a single bundle is all that can be written there."""
    return not isinstance(location, LocalDepot | RemoteDepot)


def measure_attachment_room(transfer: TransferOptions) -> int:
    """Return the bytes that a ``.airgap`` file leaves for later signatures and attachments."""
    return ENVELOPE_ROOM + transfer.room


@contextmanager
def open_writer(location: Location, room: Room, connector: Connector) -> Iterator[Writer]:
    """Open a depot, a ``.airgap`` file or standard output for writing.

    A file on a server, and standard output, get their bytes when the block has ended without an
    error.

    Raises:
        UsageError: it is a file of another name, an archive for stock BentoML, or a terminal.
        TransportError, StorageError: it cannot be written.
    """
    match location:
        case LocalDepot():
            yield DepotWriter(location.path, connector.cache)
        case ArchiveFile() if layout.is_archive_name(location.path.name):
            most = room() + connector.transfer.room
            with _keep_if_interrupted(
                ArchiveWriter(location.path, most, connector.progress.note)
            ) as writer:
                yield writer
        case RemoteDepot():
            with closing(connector.open_depot(location)) as depot:
                yield RemoteDepotWriter(depot)
        case RemoteArchive():
            with closing(connector.open_folder(location)) as folder, _spool(connector) as file:
                yield ArchiveWriter(file, room() + connector.transfer.room, is_spool=True)
                _send(file, folder, location.file_name, connector.progress)
        case StandardInput():
            _refuse_terminal()
            with _spool(connector) as file:
                yield ArchiveWriter(file, room() + connector.transfer.room, is_spool=True)
                _copy_to_stdout(file)
        case ArchiveFile() | StockArchive() | RemoteStockArchive():
            raise UsageError(
                f"{location} is not a depot, and its name does not end in {SUFFIX}.",
                f"Give a folder, or a name that ends in {SUFFIX}.",
            )


@contextmanager
def _keep_if_interrupted(writer: ArchiveWriter) -> Iterator[ArchiveWriter]:
    """Give a writer. What it has written stays only for a run that can go on with it."""
    try:
        yield writer
    except (StorageError, TransportError, InterruptedByUser):
        raise
    except AirgapError:
        writer.discard()
        raise


@contextmanager
def _spool(connector: Connector) -> Iterator[Path]:
    """Give a file that waits until the manifest is known, which comes first in it."""
    with closing(Spool(connector.transfer.spool)) as spool:
        connector.progress.note(f"Spooling to {spool.folder}, because the manifest comes first.")
        yield spool.folder / f"spool{SUFFIX}"


def _send(file: Path, folder: Transport, name: str, progress: Progress) -> None:
    progress.begin("sending", file.stat().st_size)
    try:
        send_file(folder, name, file, progress.advance)
    finally:
        progress.end()


def _refuse_terminal() -> None:
    if sys.stdout is None:  # closed, as in `airgap export … -o - >&-`
        raise UsageError(
            "There is no standard output.", "Redirect standard output, or give -o FILE."
        )
    if sys.stdout.isatty():
        raise UsageError(
            "A bundle is not for a terminal.", "Redirect standard output, or give -o FILE."
        )


def _copy_to_stdout(file: Path) -> None:
    """Write all of a file to standard output.

    Through a buffer of our own: with PYTHONUNBUFFERED, Python's has none, and then what a write
    did not take is lost without a word.
    """
    try:
        descriptor = sys.stdout.fileno()
        with file.open("rb") as spooled, open(descriptor, "wb", closefd=False) as out:
            spooled.seek(pass_on(spooled.fileno(), descriptor))
            shutil.copyfileobj(spooled, out, _COPY_BYTES)
    except BrokenPipeError as error:
        raise StorageError(
            "The reader of standard output stopped.", "Look at the other end of the pipe."
        ) from error
    except OSError as error:
        raise storage_error(error, "Standard output") from error
