"""Push: one Bento or model into a depot, as a bundle of its own, signed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, ConflictError
from airgap.flow.depot import delete, open_depot
from airgap.flow.depot.open_depot import StoredBundle
from airgap.flow.exporting import select, write_bundle
from airgap.flow.exporting.read import plain_entries
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.flow.location.credentials import ANYBODY, Access
from airgap.flow.location.writers import open_writer
from airgap.flow.progress import Progress
from airgap.flow.publishing.publish import SweptError, absent
from airgap.flow.redaction import redact
from airgap.format import layout
from airgap.format import manifest as manifests
from airgap.format.inventory import File, Item, make_item
from airgap.format.kinds import Kind
from airgap.format.manifest import Manifest
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers
from airgap.store.source_tree import read_stable

__all__ = ["Push", "PushResult", "push"]

_Key = tuple[int, str, str]
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Push:
    """What to push, and where to."""

    kind: Kind
    tag: str
    place: str
    with_models: bool = True
    bare: bool = False
    """The manifest alone: all chunks are needed (format §4.2)."""
    force: bool = False
    access: Access = field(default=ANYBODY)


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push. ``replaced`` are bundles that were deleted for the new one."""

    bundle: str
    manifest: Manifest
    was_there: bool
    packs_written: int = 0
    packs_shared: int = 0
    replaced: tuple[str, ...] = ()


def push(wanted: Push, signer: Signer, settings: BundleOptions, progress: Progress) -> PushResult:
    """Put an item into a depot, unless a bundle there that this key has signed holds just this.

    Raises:
        MissingError: the item, or a model it names, is not here.
        ConflictError: the depot has the tag with other content by the same key.
        TransportError: the depot cannot be reached, or broke off.
        StorageError, CorruptError: as ``outbound.export_items``.
    """
    chosen = ([wanted.tag], []) if wanted.kind == "bento" else ([], [wanted.tag])
    sources = select.select(*chosen, with_models=wanted.with_models)
    others: list[str] = []
    with open_depot.open_depot(wanted.place, wanted.access) as depot:
        ours = list(_signed_by(signer, depot, _top(wanted.kind, sources)))
        if ours:
            digests = _digests(sources, progress)
            for bundle, manifest in ours:
                if (
                    not wanted.force
                    and _is_all(wanted, settings, manifest, digests)
                    and _is_whole(depot, bundle, manifest, signer, progress)
                ):
                    return PushResult(bundle, manifest, was_there=True)
            others = [one for one, it in ours if _contradicts(it, digests, wanted)]
    if others and not wanted.force:
        raise _conflict(wanted, sources, others)
    done = _persist(lambda: _write(wanted, sources, signer, settings, progress))
    gone = tuple(one for one in others if one != done.bundle)
    if gone:  # only now that the new one is in place
        _delete(wanted, gone)
    return replace(done, replaced=gone)


def _persist(write: Callable[[], PushResult]) -> PushResult:
    """Write again what a cleaning of the depot has removed meanwhile: now it sees our manifest."""
    for _ in range(_TRIES):
        with suppress(SweptError):
            return write()
    return write()


def _write(
    wanted: Push,
    sources: Sequence[Source],
    signer: Signer,
    settings: BundleOptions,
    progress: Progress,
) -> PushResult:
    access = replace(wanted.access, verify_after_write=wanted.force)

    def room() -> int:
        return write_bundle.manifest_room(sources, settings)

    with open_writer(_without_bundle(wanted.place), room, access, progress) as writer:
        if wanted.bare:
            done = write_bundle.export_bare(sources, writer, [signer], settings, progress)
        else:
            done = write_bundle.export_items(sources, writer, [signer], settings, progress)
    return PushResult(
        done.bundle,
        done.manifest,
        was_there=False,
        packs_written=done.packs_written,
        packs_shared=done.packs_shared,
    )


def _without_bundle(place: str) -> str:
    return open_depot.place_of_bundle(place, "").removesuffix("#")


def _top(kind: Kind, sources: Sequence[Source]) -> _Key:
    """Return the key of the item that was asked for: models of a Bento come before it."""
    return next(one.key for one in reversed(sources) if one.kind == kind)


def _signed_by(signer: Signer, depot: Depot, top: _Key) -> Iterator[tuple[str, Manifest]]:
    """Yield the bundles of a depot that hold an item and that this key has signed."""
    _, name, version = top
    for found in open_depot.read_bundles(depot):
        if not isinstance(found, StoredBundle) or not _names(found.raw, name, version):
            continue
        manifest = _own(signer, found)
        if manifest and any(one.key == top for one in manifest.items):
            yield found.bundle, manifest


def _names(raw: bytes, name: str, version: str) -> bool:
    return name.encode() in raw and version.encode() in raw


def _own(signer: Signer, found: StoredBundle) -> Manifest | None:
    """Decode a manifest if this key has signed it; None if not."""
    try:
        if find_valid_signers(
            "builder", found.raw, found.evidence.envelopes, {signer.key.id: signer.key}
        ):
            return manifests.decode(found.raw)
    except AirgapError:  # a stranger's envelope is malformed: it is not ours to rely on
        pass
    return None


def _is_all(
    wanted: Push,
    settings: BundleOptions,
    manifest: Manifest,
    digests: Mapping[_Key, bytes],
) -> bool:
    """Tell whether a bundle holds exactly these items, on these terms."""
    same = {one.key: one.digest for one in manifest.items} == digests
    terms = manifest.channel, manifest.audience, manifest.expires_at
    asked = settings.channel, tuple(sorted(set(settings.audience))), settings.expires_at
    numbered = settings.sequence is None or settings.sequence == manifest.sequence
    carried = wanted.bare or manifest.carried == len(manifest.chunks)
    return same and terms == asked and numbered and carried


def _is_whole(
    depot: Depot, bundle: str, manifest: Manifest, signer: Signer, progress: Progress
) -> bool:
    """Tell whether a bundle has all its packs, and nobody is about to remove them."""
    files = [layout.envelope_file("builder", signer.key.id)]
    sizes = (
        depot.transport.size(layout.pack_name(one.digest)) == one.size for one in manifest.packs
    )
    return absent(depot, bundle, files, manifest.packs, progress) == 0 and all(sizes)


def _contradicts(manifest: Manifest, digests: Mapping[_Key, bytes], wanted: Push) -> bool:
    """Tell whether a bundle that holds this one thing holds it with other content."""
    tops = [one for one in manifest.items if one.kind in ("bento", wanted.kind)]
    return len(tops) == 1 and digests[tops[0].key] != tops[0].digest


def _digests(sources: Sequence[Source], progress: Progress) -> dict[_Key, bytes]:
    """Read all items to know their digests (format §3.2)."""
    progress.begin("comparing", sum(source.tree.size for source in sources))
    try:
        return {source.key: _item(source, progress).digest for source in sources}
    finally:
        progress.end()


def _item(source: Source, progress: Progress) -> Item:
    files = []
    for file in source.tree.files:
        digest = hashlib.sha256()
        for piece in read_stable(file):
            digest.update(piece)
            progress.advance(len(piece))
        files.append(File(file.path, file.executable, file.size, digest.digest(), ()))
    return make_item(source.kind, source.name, source.version, [*files, *plain_entries(source)])


def _conflict(wanted: Push, sources: Sequence[Source], others: Sequence[str]) -> ConflictError:
    _, name, version = _top(wanted.kind, sources)
    place = redact(_without_bundle(wanted.place))
    return ConflictError(
        f"{place} has the {wanted.kind} {name}:{version} with other content.",
        "Give this one another version, or --force: the old bundle goes when the new one is there.",
        [f"bundle {one}" for one in others],
    )


def _delete(wanted: Push, gone: Sequence[str]) -> None:
    with open_depot.open_depot(wanted.place, wanted.access) as depot:
        for bundle in gone:
            delete.delete_bundle(depot, bundle)
