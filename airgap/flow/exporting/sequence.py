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
from airgap.state import pinned_root

__all__ = ["folder", "given", "numbered"]

_WAITING: Final = "Another export is being numbered; waiting for it."


def numbered(draft: Manifest, sequence: int | None, progress: Progress) -> Manifest:
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
    with translate_errors(folder()):
        if sequence is None:
            number = sequences.issue_sequence(folder(), draft.channel, bundle_with, waiting)
            return replace(draft, sequence=number)
        sequences.record_sequence(folder(), draft.channel, sequence, bundle_with(sequence), waiting)
    return replace(draft, sequence=sequence)


def given() -> list[IssuedSequence]:
    """Return the last number of each channel that was numbered here.

    Raises:
        ConfigurationError: what is remembered is damaged.
        StorageError: it cannot be read.
    """
    with translate_errors(folder()):
        there = folder().iterdir() if folder().is_dir() else ()
        channels = sorted(one.name for one in there if names.is_tag_part(one.name))
        found = [sequences.read_last(folder(), one) for one in channels]
    return [one for one in found if one is not None]


def folder() -> Path:
    """Return where the last numbers of all channels are kept."""
    return pinned_root.home() / "channels"
