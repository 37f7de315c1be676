"""A bundle is published so that it is whole afterwards, also while gc runs (format §23)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from airgap.carrier.depot import Depot
from airgap.carrier.port import BundleWriter
from airgap.errors import MissingError
from airgap.flow.progress import Progress
from airgap.flow.publishing.retain import retain_files
from airgap.flow.publishing.stamped_files import leave_out_other_chains
from airgap.flow.publishing.sweep import Clock, await_sweeps
from airgap.format import layout, limits
from airgap.format.manifest import Pack
from airgap.printable import count_text

__all__ = [
    "CLOCK",
    "BundleFiles",
    "SignedBundle",
    "SweptError",
    "count_missing_packs",
    "publish",
]

CLOCK: Final = Clock()
_ROUNDS: Final = 5


class SweptError(MissingError):
    """A pack on which a bundle relies was removed while the bundle was written."""


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle to be published: all of it but its packs' bytes."""

    bundle: str
    manifest: bytes
    files: Mapping[str, bytes]
    """Envelopes, attachments and models' signatures, by their names in the bundle's folder."""
    packs: Sequence[Pack]


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """What a published bundle consists of, by name."""

    bundle: str
    files: Collection[str]
    """Files in the bundle's folder, beside its manifest."""
    packs: Sequence[Pack]


def publish(
    writer: BundleWriter, signed: SignedBundle, progress: Progress, clock: Clock = CLOCK
) -> None:
    """Publish a bundle; in a depot, make sure that all of it is still there afterwards.

    Raises:
        SweptError: packs are gone, or the bundle is deleted again and again.
        AirgapError: as ``BundleWriter.publish``.
    """
    if writer.transport is None:
        writer.publish(signed.bundle, signed.manifest, dict(signed.files), signed.packs)
        return
    depot = Depot(writer.transport)
    files = leave_out_other_chains(depot, signed.bundle, signed.files)
    signed = replace(signed, files=files)
    writer.publish(signed.bundle, signed.manifest, dict(signed.files), signed.packs)
    checksums = layout.checksums_name(signed.bundle).rpartition("/")[2]
    published = BundleFiles(signed.bundle, {*signed.files, checksums}, signed.packs)
    for _ in range(_ROUNDS):
        lost = count_missing_packs(depot, published, progress, clock)
        if lost is not None:
            break
        writer.publish(signed.bundle, signed.manifest, dict(signed.files), signed.packs)
    else:
        raise SweptError(
            f"{depot.location}#{signed.bundle} was deleted again each time it was written.",
            _HINT,
        )
    if lost:
        raise SweptError(
            f"Garbage collection removed {count_text(lost, 'pack')} from {depot.location} during"
            " this command.",
            _HINT,
        )


def count_missing_packs(
    depot: Depot, published: BundleFiles, progress: Progress, clock: Clock = CLOCK
) -> int | None:
    """Count the packs that a published bundle lacks, now and for as long as it is published.

    None if it is not published (any more): its manifest or one of the files beside it is not there.
    Ask this before saying that a bundle is in a depot, also if another program has put it there.
    Where the location's options lock files, they are locked now.

    Raises:
        TransportError: the depot cannot be read.
    """
    files = {layout.MANIFEST, *published.files}
    folder = f"{layout.BUNDLES}/{published.bundle}"
    names = {f"{folder}/{file}" for file in files}
    names |= {layout.pack_name(pack.digest) for pack in published.packs}
    await_sweeps(depot, names, clock, progress)
    if not files.issubset(depot.transport.list(folder, limits.FOLDER_NAMES)):
        return None
    missing = _count_missing(depot, published.packs) or retain_files(depot, names)
    depot.lock_with_manifest(published.bundle, published.files)  # an archive may keep it for longer
    return missing


def _count_missing(depot: Depot, packs: Sequence[Pack]) -> int:
    """Count the packs that are not there, by listing each folder of packs once."""
    folders: dict[str, set[str]] = {}
    for pack in packs:
        folder, _, file = layout.pack_name(pack.digest).rpartition("/")
        folders.setdefault(folder, set()).add(file)
    return sum(
        len(wanted.difference(depot.transport.list(folder, limits.FOLDER_NAMES)))
        for folder, wanted in folders.items()
    )


_HINT: Final = "Run the same command again: packs that are there are not sent again."
