"""Deletes bundles from a depot. Their packs stay until gc: other bundles may share them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airgap.carrier.depot import Depot
from airgap.errors import ConflictError, MissingError
from airgap.flow.bundle.tag import Tag
from airgap.flow.depot import locked, open_depot
from airgap.flow.depot.open_depot import DamagedBundle
from airgap.flow.ledger.record import EventRecord, record_for_audience
from airgap.flow.progress import Progress
from airgap.flow.publishing.publish import CLOCK
from airgap.flow.publishing.sweep import Clock, Sweep
from airgap.flow.retention.guard import refuse_kept
from airgap.format import layout, limits
from airgap.format import manifest as manifests
from airgap.format.inventory import Item

__all__ = [
    "DeletionCandidate",
    "delete_bundle",
    "delete_candidates",
    "find_deletion_candidates",
    "list_bundle_files",
]


@dataclass(frozen=True, slots=True)
class DeletionCandidate:
    """A bundle that was chosen to be deleted, and what its manifest says, if it can be read."""

    bundle: str
    items: tuple[Item, ...] = ()
    audience: tuple[str, ...] = ()
    channel: str | None = None
    sequence: int = 0


def find_deletion_candidates(depot: Depot, prefix: str, tag: Tag | None) -> list[DeletionCandidate]:
    """Return the bundles with ``tag``, or without a tag the one whose id begins with ``prefix``.

    Raises:
        MissingError: there are none, or several ids begin with ``prefix``.
        ConflictError: a bundle with the tag also holds other Bentos, or models of their own.
    """
    candidates = []
    for bundle in open_depot.read_bundles(depot, prefix):
        if isinstance(bundle, DamagedBundle):
            candidates += [DeletionCandidate(bundle.bundle)] if tag is None else []
        elif tag is None or tag.may_be_in(bundle.raw):
            manifest = manifests.decode(bundle.raw)
            if tag is None or tag.is_in(manifest):
                candidates.append(
                    DeletionCandidate(
                        bundle.bundle,
                        manifest.items,
                        manifest.audience,
                        manifest.channel,
                        manifest.sequence,
                    )
                )
    if tag is not None:
        candidates = [candidate for candidate in candidates if _is_made_for(tag, candidate)]
    if not candidates or (tag is None and len(candidates) > 1):
        what = f"with the {tag}" if tag else f"whose ID begins with {prefix}"
        raise MissingError(
            f"{depot.location} has {len(candidates)} bundles {what}.",
            f"See `airgap list {depot.location}`.",
        )
    for candidate in candidates:
        _refuse_other_items(tag, candidate)
    return candidates


def delete_candidates(
    depot: Depot, candidates: Sequence[DeletionCandidate], progress: Progress
) -> None:
    """Delete bundles that a person chose, and record each for the sites that it was for.

    What an archive has of them, records and evidence, stays there (format §35.3).

    Raises:
        PolicyError: an archive keeps one of them (format §35.6), or it is locked (format §37.5);
            nothing was deleted. Or one could not be recorded; that one and those after it were not
            deleted.
        CorruptError: a record of the archive is damaged; nothing was deleted.
        StorageError: one could not be recorded.
        TransportError: the depot refused, or it took too long.
    """
    refuse_kept(depot, [candidate.bundle for candidate in candidates])
    for candidate in candidates:
        locked.refuse_locked_bundle(depot, candidate.bundle)
    for candidate in candidates:
        record = EventRecord(
            "deleted",
            bundle=bytes.fromhex(candidate.bundle),
            channel=candidate.channel,
            sequence=candidate.sequence,
            note=f"from {depot.location}",
        )
        record_for_audience(candidate.audience, record, progress)
        delete_bundle(depot, candidate.bundle)


def delete_bundle(depot: Depot, bundle: str, clock: Clock = CLOCK) -> None:
    """Remove a bundle, its manifest first: from then on no reader sees it.

    The caller has made sure that no archive keeps it.

    Raises:
        StorageError: the server keeps one of its files until a date.
        TransportError: the depot refused, or it took too long.
    """
    files = list_bundle_files(depot, bundle)
    if (lock := depot.find_lock()) is not None:
        locked.refuse_locked_bundle(depot, bundle)
        for name in files:
            lock.remove(name)
        return
    for start in range(0, len(files), limits.SWEPT_NAMES):
        batch = files[start : start + limits.SWEPT_NAMES]
        sweep = Sweep(depot, batch, clock)
        for name in batch:
            sweep.remove(name)
        sweep.end()


def list_bundle_files(depot: Depot, bundle: str) -> list[str]:
    """List the depot names of a bundle's own files, its manifest first, without foreign files."""
    folder = f"{layout.BUNDLES}/{bundle}"
    own = depot.transport.list(folder, limits.FOLDER_NAMES)
    parity = depot.transport.list(layout.parity_folder(bundle), limits.FOLDER_NAMES)
    files = [f"{folder}/{name}" for name in own if layout.is_bundle_file(name)]
    files += [f"{layout.parity_folder(bundle)}/{name}" for name in parity if layout.is_parity(name)]
    manifest = layout.manifest_name(bundle)
    return sorted(files, key=lambda name: (name != manifest, name))


def _main_items(items: tuple[Item, ...]) -> Iterator[Item]:
    """Yield the items that a bundle was made for: its Bentos, or its models if it has none."""
    has_bento = any(item.kind == "bento" for item in items)
    return (item for item in items if item.kind == "bento" or not has_bento)


def _is_made_for(tag: Tag, candidate: DeletionCandidate) -> bool:
    """Tell whether a bundle was made for items of this kind, and not for a Bento that needs one."""
    return any(item.kind == tag.kind for item in _main_items(candidate.items))


def _refuse_other_items(tag: Tag | None, candidate: DeletionCandidate) -> None:
    others = [
        str(item)
        for item in _main_items(candidate.items)
        if tag and (item.kind, item.name, item.version) != (tag.kind, tag.name, tag.version)
    ]
    if others:
        raise ConflictError(
            f"Bundle {candidate.bundle} holds more than the {tag}: {', '.join(others[:3])}.",
            f"To delete all of it, name the bundle: DEPOT#{candidate.bundle}.",
        )
