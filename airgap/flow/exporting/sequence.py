"""Which number a bundle has in its channel: the exporter's memory decides (format §17.8)."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.flow.progress import Progress
from airgap.format import manifest as manifests
from airgap.format import names
from airgap.format.ledger import IssuedSequence, digest
from airgap.format.manifest import Manifest
from airgap.ledger import sequences
from airgap.state.state_folder import state_folder

__all__ = ["assign_sequence", "channels_folder", "list_issued_sequences"]

_WAITING: Final = "Another export is being numbered; waiting for it."


def assign_sequence(draft: Manifest, sequence: int | None, progress: Progress) -> Manifest:
    """Give a manifest its number, which is remembered from now on; 0 leaves it without one.

    Raises:
        UsageError: the number belongs to another bundle.
        ConfigurationError: what is remembered is damaged.
        StorageError: the disk refused.
    """

    def bundle_with(number: int) -> bytes:
        return digest(manifests.encode(replace(draft, sequence=number)))

    def waiting() -> None:
        progress.note(_WAITING)

    if sequence == 0:
        return draft
    with translate_errors(channels_folder()):
        if sequence is None:
            number = sequences.issue_sequence(
                channels_folder(), draft.channel, bundle_with, waiting
            )
            return replace(draft, sequence=number)
        sequences.record_sequence(
            channels_folder(), draft.channel, sequence, bundle_with(sequence), waiting
        )
    return replace(draft, sequence=sequence)


def list_issued_sequences() -> list[IssuedSequence]:
    """Return the last number of each channel that was numbered here.

    Raises:
        ConfigurationError: what is remembered is damaged.
        StorageError: it cannot be read.
    """
    with translate_errors(channels_folder()):
        files = channels_folder().iterdir() if channels_folder().is_dir() else ()
        channels = sorted(name.name for name in files if names.is_tag_part(name.name))
        issued = [sequences.read_last(channels_folder(), name) for name in channels]
    return [name for name in issued if name is not None]


def channels_folder() -> Path:
    """Return where the last numbers of all channels are kept."""
    return state_folder() / "channels"
