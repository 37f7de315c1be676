"""From what a person calls a destination to a writer of one bundle."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from airgap.carrier.archive import ArchiveWriter
from airgap.carrier.local_depot import DepotWriter
from airgap.carrier.remote_archive import send_file
from airgap.carrier.remote_depot import RemoteDepotWriter
from airgap.errors import UsageError
from airgap.flow.location import remote as elsewhere
from airgap.flow.location.credentials import Access
from airgap.flow.location.remote import SUFFIX, RemoteLocation
from airgap.flow.progress import Progress
from airgap.transport.spool import Spool

__all__ = ["Writer", "is_single_file", "open_writer", "open_writer_elsewhere"]

Writer = ArchiveWriter | DepotWriter | RemoteDepotWriter
Room = Callable[[], int]
"""Returns a number of bytes that the manifest cannot exceed."""

_SPOOL: Final = f"spool{SUFFIX}"


def is_single_file(destination: str, access: Access) -> bool:
    """Tell whether a destination is a single ``.airgap`` file, by its name."""
    if elsewhere.is_remote(destination):
        return elsewhere.look(destination, access).is_file
    path = Path(elsewhere.local_path(destination))
    return path.name.endswith(SUFFIX) and not path.is_dir()


@contextmanager
def open_writer(
    destination: str, room: Room, access: Access, progress: Progress
) -> Iterator[Writer]:
    """Open a depot or a ``.airgap`` file for writing, here or elsewhere.

    A single file elsewhere is there when the block has ended without an error.

    Raises:
        UsageError: it is a file of another name.
        TransportError, StorageError: it cannot be written.
    """
    if elsewhere.is_remote(destination):
        found = elsewhere.look(destination, access)
        with open_writer_elsewhere(found, room, progress) as writer:
            yield writer
        return
    path = Path(elsewhere.local_path(destination))
    if is_single_file(destination, access):
        yield ArchiveWriter(path, room())
        return
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file.", f"Give a folder, or a name that ends in {SUFFIX}.")
    yield DepotWriter(path)


@contextmanager
def open_writer_elsewhere(
    found: RemoteLocation, room: Room, progress: Progress
) -> Iterator[Writer]:
    """Open what is elsewhere; raises as ``open_writer``."""
    found.refuse_other_formats()
    if not found.is_file:
        with closing(found.open_depot()) as remote:
            yield RemoteDepotWriter(remote)
        return
    with closing(Spool(found.access.spool)) as spool, closing(found.open_folder()) as transport:
        file = spool.folder / _SPOOL
        progress.note(f"Spooling to {spool.folder}, because the manifest comes first.")
        yield ArchiveWriter(file, room())
        progress.begin("sending", file.stat().st_size)
        try:
            send_file(transport, found.file_name, file, progress.advance)
        finally:
            progress.end()
