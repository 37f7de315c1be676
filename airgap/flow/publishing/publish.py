"""A bundle published so that it is whole when this ends, whoever cleans the depot (format §23)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from airgap.carrier.depot import Depot
from airgap.carrier.port import BundleWriter
from airgap.errors import MissingError
from airgap.flow.progress import Progress
from airgap.flow.publishing.sweep import Clock, await_sweeps
from airgap.format import layout, limits
from airgap.format.manifest import Pack

__all__ = ["CLOCK", "SweptError", "absent", "publish"]

CLOCK: Final = Clock()
_ROUNDS: Final = 5


class SweptError(MissingError):
    """A pack on which a bundle relies was removed while the bundle was written."""


def publish(  # noqa: PLR0913, PLR0917  (what ``BundleWriter.publish`` takes, and two)
    writer: BundleWriter,
    bundle: str,
    manifest: bytes,
    files: Mapping[str, bytes],
    packs: Sequence[Pack],
    progress: Progress,
    clock: Clock = CLOCK,
) -> None:
    """Publish a bundle; in a depot, make sure that all of it is still there afterwards.

    Raises:
        SweptError: packs are gone, or the bundle is deleted again and again.
        AirgapError: as ``BundleWriter.publish``.
    """
    writer.publish(bundle, manifest, dict(files), packs)
    if writer.transport is None:
        return
    depot = Depot(writer.transport)
    own = {*files, layout.checksums_name(bundle).rpartition("/")[2]}
    for _ in range(_ROUNDS):
        lost = absent(depot, bundle, own, packs, progress, clock)
        if lost is not None:
            break
        writer.publish(bundle, manifest, dict(files), packs)
    else:
        raise SweptError(f"Somebody deletes {depot.place}#{bundle[:12]} again and again.", _HINT)
    if lost:
        raise SweptError(
            f"{lost} packs were removed from {depot.place} by its cleaning meanwhile.", _HINT
        )


def absent(  # noqa: PLR0913, PLR0917  (a value each)
    depot: Depot,
    bundle: str,
    files: Collection[str],
    packs: Sequence[Pack],
    progress: Progress,
    clock: Clock = CLOCK,
) -> int | None:
    """Count the packs that a published bundle lacks, now and for as long as it is published.

    None if it is not published (any more): its manifest or one of ``files`` beside it is not there.
    Whoever says that a bundle is in a depot asks this, also if somebody else has put it there.

    Raises:
        TransportError: the depot cannot be read.
    """
    own = {layout.MANIFEST, *files}
    folder = f"{layout.BUNDLES}/{bundle}"
    names = {f"{folder}/{one}" for one in own} | {layout.pack_name(one.digest) for one in packs}
    await_sweeps(depot, names, clock, progress)
    if not own.issubset(depot.transport.list(folder, limits.FOLDER_NAMES)):
        return None
    return _lost(depot, packs)


def _lost(depot: Depot, packs: Sequence[Pack]) -> int:
    """Count the packs that are not there, by listing each folder of packs once."""
    folders: dict[str, set[str]] = {}
    for pack in packs:
        folder, _, file = layout.pack_name(pack.digest).rpartition("/")
        folders.setdefault(folder, set()).add(file)
    return sum(
        len(wanted.difference(depot.transport.list(folder, limits.FOLDER_NAMES)))
        for folder, wanted in folders.items()
    )


_HINT: Final = "Run the same command again: what is there is not sent again."
