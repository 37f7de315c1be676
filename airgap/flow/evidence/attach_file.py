"""A file of another program is put beside a bundle, byte for byte (format §24)."""

from collections.abc import Sequence
from contextlib import ExitStack

from airgap.errors import UsageError
from airgap.flow.bundle.foreign_file import ForeignFile
from airgap.flow.bundle.open_to_sign import BundleToSign, open_to_sign
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import Location
from airgap.flow.media.volumes import read_labels
from airgap.flow.progress import Progress
from airgap.flow.publishing.attach import attach

__all__ = ["attach_file"]


def attach_file(
    locations: Sequence[Location],
    foreign: ForeignFile,
    progress: Progress,
    connector: Connector = LOCAL,
) -> str:
    """Put a file beside one bundle, in each of the locations that have it; return the bundle's id.

    Nothing is verified: an attachment proves nothing about the bundle, and admits nothing.

    Raises:
        UsageError: a location does not name one bundle, several name different ones, the bundle is
            sealed, or nothing can be added there.
        ConflictError: another attachment of this name is there, or no room is left.
        MissingError: there is no bundle, or it was deleted meanwhile.
        CorruptError: what is there is not a bundle.
        StorageError, TransportError: a location cannot be read or written.
    """
    with ExitStack() as stack:
        candidates = [
            stack.enter_context(open_to_sign(location, connector)) for location in locations
        ]
        bundles = {candidate.bundle for candidate in candidates}
        if len(bundles) != 1:
            raise UsageError(
                f"The locations have {len(bundles)} different bundles.",
                "Give the volumes of one bundle, or one location.",
                sorted(bundles),
            )
        if candidates[0].manifest.sealed:
            raise UsageError(
                f"{candidates[0].reader.location} is sealed: what is attached would lie beside it,"
                " for everyone to read.",
                "Attach the file as the bundle is made (`airgap export --seal --attach`), or before"
                " `airgap seal`.",
            )
        for candidate in candidates:
            attach(candidate.reader, foreign.file, foreign.data, progress)
        _note_other_volumes(candidates, progress)
    return bundles.pop()


def _note_other_volumes(candidates: Sequence[BundleToSign], progress: Progress) -> None:
    """Say so if some volumes of the bundle did not get the file."""
    labels = [
        label
        for candidate in candidates
        for label in read_labels(
            candidate.reader.packs, candidate.bundle, len(candidate.manifest.packs)
        )
    ]
    if labels and len({label.number for label in labels}) < labels[0].count:
        progress.note(
            f"The file is on {len(labels)} of the bundle's {labels[0].count} volumes: what is"
            " joined from the others alone lacks it."
        )
