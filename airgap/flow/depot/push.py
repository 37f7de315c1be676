"""Push: one Bento or model into a depot, as a bundle of its own, signed."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, ConflictError
from airgap.flow.depot import delete, open_depot
from airgap.flow.depot.open_depot import StoredBundle
from airgap.flow.exporting import select, write_bundle
from airgap.flow.exporting.read import plain_entries
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.terms import Terms
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.location import DepotLocation
from airgap.flow.location.writers import open_writer
from airgap.flow.progress import Progress
from airgap.flow.publishing.publish import BundleFiles, SweptError, count_missing_packs
from airgap.format import layout
from airgap.format import manifest as manifests
from airgap.format.inventory import File, Item, make_item
from airgap.format.kinds import Kind
from airgap.format.manifest import Manifest
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers
from airgap.store.source_tree import read_stable

__all__ = ["PushRequest", "PushResult", "push"]

_Key = tuple[int, str, str]
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class PushRequest:
    """What to push where, signed by whom, on which terms."""

    kind: Kind
    tag: str
    depot: DepotLocation
    signer: Signer
    terms: Terms = field(default_factory=Terms)
    with_models: bool = True
    bare: bool = False
    """The manifest alone: all chunks are needed (format §4.2)."""
    force: bool = False
    jobs: int | None = None
    """Threads; None: the processors there are."""
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push. ``replaced`` are bundles that were deleted for the new one."""

    bundle: str
    manifest: Manifest
    was_there: bool
    packs_written: int = 0
    packs_shared: int = 0
    replaced: tuple[str, ...] = ()


def push(request: PushRequest, progress: Progress) -> PushResult:
    """Put an item into a depot, unless a bundle there that this key has signed holds just this.

    Raises:
        UsageError: the terms cannot be written.
        MissingError: the item, or a model it names, is not here.
        ConflictError: the depot has the tag with other content by the same key.
        TransportError: the depot cannot be reached, or broke off.
        StorageError, CorruptError: as ``write_bundle.export_items``.
    """
    options = request.terms.make_options(request.jobs)
    sources = select.select_items({request.kind: [request.tag]}, with_models=request.with_models)
    connector = Connector(request.credentials, request.transfer, progress)
    others: list[str] = []
    with open_depot.open_depot(request.depot, connector) as depot:
        ours = list(_signed_by(request.signer, depot, _top(request.kind, sources)))
        if ours:
            digests = _digests(sources, progress)
            for bundle, manifest in ours:
                if (
                    not request.force
                    and _is_all(request, options, manifest, digests)
                    and _is_whole(depot, bundle, manifest, request.signer, progress)
                ):
                    return PushResult(bundle, manifest, was_there=True)
            others = [bundle for bundle, it in ours if _contradicts(it, digests, request)]
    if others and not request.force:
        raise _conflict(request, sources, others)
    done = _persist(lambda: _write(request, sources, options, connector))
    replaced = tuple(bundle for bundle in others if bundle != done.bundle)
    if replaced:  # only now that the new one is in place
        _delete(request.depot, connector, replaced)
    return replace(done, replaced=replaced)


def _persist(write: Callable[[], PushResult]) -> PushResult:
    """Write again what a cleaning of the depot has removed meanwhile: now it sees our manifest."""
    for _ in range(_TRIES):
        with suppress(SweptError):
            return write()
    return write()


def _write(
    request: PushRequest, sources: Sequence[Source], options: BundleOptions, connector: Connector
) -> PushResult:
    transfer = replace(connector.transfer, verify_after_write=request.force)
    room = partial(write_bundle.manifest_room, sources, options)
    export = write_bundle.export_bare if request.bare else write_bundle.export_items
    with open_writer(request.depot, room, replace(connector, transfer=transfer)) as writer:
        done = export(sources, writer, [request.signer], options, connector.progress)
    return PushResult(
        done.bundle,
        done.manifest,
        was_there=False,
        packs_written=done.packs_written,
        packs_shared=done.packs_shared,
    )


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
    request: PushRequest,
    options: BundleOptions,
    manifest: Manifest,
    digests: Mapping[_Key, bytes],
) -> bool:
    """Tell whether a bundle holds exactly these items, on these terms."""
    same = {one.key: one.digest for one in manifest.items} == digests
    terms = manifest.channel, manifest.audience, manifest.expires_at
    asked = options.channel, tuple(sorted(set(options.audience))), options.expires_at
    numbered = options.sequence is None or options.sequence == manifest.sequence
    carried = request.bare or manifest.carried == len(manifest.chunks)
    return same and terms == asked and numbered and carried


def _is_whole(
    depot: Depot, bundle: str, manifest: Manifest, signer: Signer, progress: Progress
) -> bool:
    """Tell whether a bundle has all its packs, and nobody is about to remove them."""
    files = [layout.envelope_file("builder", signer.key.id)]
    sizes = (
        depot.transport.size(layout.pack_name(one.digest)) == one.size for one in manifest.packs
    )
    published = BundleFiles(bundle, files, manifest.packs)
    return count_missing_packs(depot, published, progress) == 0 and all(sizes)


def _contradicts(manifest: Manifest, digests: Mapping[_Key, bytes], request: PushRequest) -> bool:
    """Tell whether a bundle that holds this one thing holds it with other content."""
    tops = [one for one in manifest.items if one.kind in ("bento", request.kind)]
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


def _conflict(
    request: PushRequest, sources: Sequence[Source], others: Sequence[str]
) -> ConflictError:
    _, name, version = _top(request.kind, sources)
    depot = replace(request.depot, bundle="")
    return ConflictError(
        f"{depot} has the {request.kind} {name}:{version} with other content.",
        "Give this one another version, or --force: the old bundle goes when the new one is there.",
        [f"bundle {one}" for one in others],
    )


def _delete(location: DepotLocation, connector: Connector, bundles: Sequence[str]) -> None:
    with open_depot.open_depot(location, connector) as depot:
        for bundle in bundles:
            delete.delete_bundle(depot, bundle)
