"""Bundles taken out of a depot. Their packs stay: other bundles may have them, and gc knows."""

from collections.abc import Iterator
from dataclasses import dataclass

from airgap.carrier.depot import Depot
from airgap.errors import ConflictError, MissingError
from airgap.flow.bundle.tag import Tag
from airgap.flow.depot import open_depot
from airgap.flow.depot.open_depot import DamagedBundle
from airgap.flow.publishing.publish import CLOCK
from airgap.flow.publishing.sweep import Clock, Sweep
from airgap.format import layout, limits
from airgap.format import manifest as manifests
from airgap.format.inventory import Item

__all__ = ["DeletionCandidate", "delete_bundle", "files_of", "find_deletion_candidate"]


@dataclass(frozen=True, slots=True)
class DeletionCandidate:
    """A bundle that was chosen to be deleted, and what it says it holds."""

    bundle: str
    items: tuple[Item, ...]


def find_deletion_candidate(depot: Depot, wanted: str, tag: Tag | None) -> list[DeletionCandidate]:
    """Choose the bundles that a person means: those with ``tag``, or the one with an id.

    Raises:
        MissingError: there is none, or the id stands for several.
        ConflictError: a bundle with the tag holds other Bentos or models of their own besides.
    """
    chosen = []
    for found in open_depot.read_bundles(depot, wanted):
        if isinstance(found, DamagedBundle):
            chosen += [DeletionCandidate(found.bundle, ())] if tag is None else []
        elif tag is None or tag.may_be_in(found.raw):
            manifest = manifests.decode(found.raw)
            if tag is None or tag.is_in(manifest):
                chosen.append(DeletionCandidate(found.bundle, manifest.items))
    chosen = [one for one in chosen if tag is None or not _is_for_another(tag, one)]
    if not chosen or (tag is None and len(chosen) > 1):
        what = f"with the {tag}" if tag else f"whose id begins with {wanted}"
        raise MissingError(
            f"{depot.location} has {len(chosen)} bundles {what}.",
            f"See `airgap list {depot.location}`.",
        )
    for one in chosen:
        _refuse_company(tag, one)
    return chosen


def delete_bundle(depot: Depot, bundle: str, clock: Clock = CLOCK) -> None:
    """Remove a bundle: its manifest first, so that from then on it is not there.

    Raises:
        TransportError: the depot refused, or it took too long.
    """
    found = files_of(depot, bundle)
    for start in range(0, len(found), limits.SWEPT_NAMES):
        batch = found[start : start + limits.SWEPT_NAMES]
        sweep = Sweep(depot, batch, clock)
        for name in batch:
            sweep.remove(name)
        sweep.end()


def files_of(depot: Depot, bundle: str) -> list[str]:
    """Return the depot names of a bundle's own files, its manifest first; strange ones are not."""
    folder = f"{layout.BUNDLES}/{bundle}"
    listed = depot.transport.list(folder, limits.FOLDER_NAMES)
    parity = depot.transport.list(layout.parity_folder(bundle), limits.FOLDER_NAMES)
    found = [f"{folder}/{name}" for name in listed if layout.is_bundle_file(name)]
    found += [f"{layout.parity_folder(bundle)}/{name}" for name in parity if layout.is_parity(name)]
    manifest = layout.manifest_name(bundle)
    return sorted(found, key=lambda name: (name != manifest, name))


def _tops(items: tuple[Item, ...]) -> Iterator[Item]:
    """Yield what a bundle was made for: its Bentos, or without any its models."""
    has_bento = any(one.kind == "bento" for one in items)
    return (one for one in items if one.kind == "bento" or not has_bento)


def _is_for_another(tag: Tag, one: DeletionCandidate) -> bool:
    """Tell whether a bundle has a model only because a Bento needs it."""
    return all(item.kind != tag.kind for item in _tops(one.items))


def _refuse_company(tag: Tag | None, one: DeletionCandidate) -> None:
    others = [
        str(item)
        for item in _tops(one.items)
        if tag and (item.kind, item.name, item.version) != (tag.kind, tag.name, tag.version)
    ]
    if others:
        raise ConflictError(
            f"Bundle {one.bundle[:12]} has more than the {tag}: {', '.join(others[:3])}.",
            f"If all of it should go, name it: DEPOT#{one.bundle[:12]}.",
        )
