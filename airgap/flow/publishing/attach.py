"""An attachment is put beside a bundle so that it is there afterwards, also while gc runs (§24)."""

from typing import Final

from airgap.carrier.depot import Depot
from airgap.carrier.port import SignedManifest
from airgap.errors import MissingError
from airgap.flow.progress import Progress
from airgap.flow.publishing.publish import CLOCK
from airgap.flow.publishing.sweep import Clock, await_sweeps
from airgap.format import layout, limits

__all__ = ["attach"]

_ROUNDS: Final = 5


def attach(
    reader: SignedManifest, file: str, data: bytes, progress: Progress, clock: Clock = CLOCK
) -> None:
    """Put an attachment beside a manifest that was read, unless exactly this one is there.

    Args:
        reader: of the bundle.
        file: its name (``airgap.format.attachment``).
        data: its bytes, at least one.
        progress: gets a note if garbage collection is waited for.
        clock: measures the wait.

    Raises:
        UsageError: nothing can be added there.
        ConflictError: another one of this name is there, or no room is left.
        MissingError: the bundle was deleted meanwhile.
        StorageError, TransportError: it cannot be written.
    """
    reader.add_attachment(file, data)
    if reader.depot is None:
        return
    bundle = reader.location.rpartition("#")[2]
    for _ in range(_ROUNDS):
        if _is_there(reader.depot, bundle, file, progress, clock):
            return
        reader.add_attachment(file, data)
    raise MissingError(
        f"{reader.location}/{file} was removed each time it was written.",
        "Run the same command again when no garbage collection runs on the depot.",
    )


def _is_there(depot: Depot, bundle: str, file: str, progress: Progress, clock: Clock) -> bool:
    """Tell whether an attachment will stay with its bundle (format §23).

    Raises:
        MissingError: the bundle is not there any more.
    """
    folder = f"{layout.BUNDLES}/{bundle}"
    await_sweeps(depot, {layout.manifest_name(bundle), f"{folder}/{file}"}, clock, progress)
    listed = depot.transport.list(folder, limits.FOLDER_NAMES)
    if layout.MANIFEST not in listed:
        raise MissingError(
            f"{depot.location}#{bundle} was deleted during this command.",
            "Copy the bundle there again, and attach the file then.",
        )
    return file in listed
