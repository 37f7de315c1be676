"""Push: writes one Bento or model to a depot, as a signed bundle of its own."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot, DepotBundle
from airgap.errors import AirgapError, ConflictError
from airgap.flow.bundle.foreign_file import ForeignFile
from airgap.flow.depot import delete, open_depot
from airgap.flow.depot.open_depot import StoredBundle
from airgap.flow.disk_use import Peak, note_peaks
from airgap.flow.exporting import write_bundle
from airgap.flow.exporting.attachment_options import AttachmentOptions, list_makers
from airgap.flow.exporting.attachments import (
    AttachmentMaker,
    GivenFiles,
    describe_closure,
    make_attachments,
)
from airgap.flow.exporting.closure import Closure
from airgap.flow.exporting.foresee import foresee
from airgap.flow.exporting.gather import gather_sources
from airgap.flow.exporting.licence_check import check_sources
from airgap.flow.exporting.read import plain_entries
from airgap.flow.exporting.remember import remember_export
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.terms import Terms
from airgap.flow.exporting.unread import load_file
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.flow.licences.gate import load_policy
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.destination import require_folder_above
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.flow.location.writers import open_writer
from airgap.flow.media.split import VolumeOptions
from airgap.flow.progress import Progress
from airgap.flow.publishing.attach import attach
from airgap.flow.publishing.publish import BundleFiles, SweptError, count_missing_packs
from airgap.flow.retention.guard import refuse_kept
from airgap.format import layout
from airgap.format import manifest as manifests
from airgap.format.inventory import File, Item, make_item
from airgap.format.kinds import MODEL, Kind
from airgap.format.manifest import Manifest
from airgap.signing.signer import Signer
from airgap.signing.thresholds import find_valid_signers
from airgap.state.digest_cache import DigestCache, open_cache
from airgap.store.source_tree import SourceFile, read_stable

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
    closure: Closure = field(default_factory=Closure)
    with_models: bool = True
    bare: bool = False
    """The manifest alone: all chunks are needed (format §4.2)."""
    force: bool = False
    licence_policy: Path | None = None
    """The file that says which licences may travel (format §30.4); None: any."""
    attachments: AttachmentOptions = field(default_factory=AttachmentOptions)
    recorder: Signer | None = None
    """Who signs the checkpoints that travel with the bundle (format §29.5); None: none do."""
    jobs: int | None = None
    """Threads; None: the processors there are."""
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


@dataclass(frozen=True, slots=True)
class PushResult:
    """The result of a push. ``replaced`` are bundles that were deleted for the new one."""

    bundle: str
    manifest: Manifest
    was_there: bool
    packs_written: int = 0
    packs_there: int = 0
    bytes_written: int = 0
    """Those of the packs."""
    attached: tuple[str, ...] = ()
    """The attachments that were put beside a bundle that was there."""
    replaced: tuple[str, ...] = ()
    peaks: tuple[Peak, ...] = ()
    """The space that was expected to be needed on each file system of this machine."""


def push(request: PushRequest, progress: Progress) -> PushResult:
    """Push an item to a depot, unless a bundle there, signed by this key, holds the same.

    Raises:
        UsageError: the terms cannot be written.
        MissingError: the item, or something that it needs and that travels with it, is not here;
            or the folder above the depot does not exist.
        PolicyError: an item holds what looks like a password or a token, or the licence policy
            refuses one.
        ConfigurationError: the licence policy cannot be used.
        ConflictError: the depot has the tag with other content by the same key, or another
            attachment of a name.
        TransportError: the depot cannot be reached, or the connection broke.
        StorageError, CorruptError: as ``write_bundle.export_items``.
    """
    if isinstance(request.depot, LocalDepot):
        require_folder_above(request.depot.path)
    # With force, what is in the depot is compared: something may read wrong.
    with open_cache(rereads=request.transfer.reread or request.force) as cache:
        return _push_item(
            request, Connector(request.credentials, request.transfer, progress, cache)
        )


def _push_item(request: PushRequest, connector: Connector) -> PushResult:
    """Push an item with a cache. Raises as ``push``."""
    progress = connector.progress
    options = request.terms.make_options(request.jobs)
    options = replace(options, recorder=request.recorder, cache=connector.cache)
    policy = load_policy(request.licence_policy) if request.licence_policy else None
    with gather_sources(
        {request.kind: [request.tag]},
        request.closure,
        progress,
        with_models=request.with_models,
        allow_credentials=request.terms.allow_credentials,
        tmpdir=request.transfer.spool,
    ) as sources:
        if policy:
            report = check_sources(policy, sources, progress)
            options = replace(options, documents=report.documents)
        return _push(request, sources, _add_attachments(request, sources, options), connector)


def _add_attachments(
    request: PushRequest, sources: Sequence[Source], options: BundleOptions
) -> BundleOptions:
    is_model = request.kind == MODEL.name
    asked = {
        "bentos": [] if is_model else [request.tag],
        "models": [request.tag] if is_model else [],
        "sequence": request.terms.sequence,
        "withModels": request.with_models,
        **describe_closure(request.closure),
    }
    makers = list_makers(request.attachments, request.signer, sources, asked, options)
    return replace(options, attachments=tuple(makers))


def _push(
    request: PushRequest, sources: Sequence[Source], options: BundleOptions, connector: Connector
) -> PushResult:
    """Push what was gathered. Raises as ``push``."""
    progress = connector.progress
    others: list[str] = []
    with open_depot.open_depot(request.depot, connector) as depot:
        ours = list(_find_own_bundles(request.signer, depot, _find_top(request.kind, sources)))
        if ours:
            digests = _read_digests(sources, connector.cache, progress)
            for bundle, manifest in ours:
                if (
                    not request.force
                    and _holds_the_same(request, options, manifest, digests)
                    and _is_complete(depot, bundle, manifest, request.signer, progress)
                ):
                    attached = _attach(depot, bundle, manifest, options, progress)
                    return PushResult(bundle, manifest, was_there=True, attached=attached)
            others = [
                bundle for bundle, manifest in ours if _contradicts(manifest, digests, request)
            ]
        refuse_kept(depot, others if request.force else ())
    if others and not request.force:
        raise _make_conflict(request, sources, others)
    peaks: tuple[Peak, ...] = ()
    if not request.bare:
        foreseen = foresee(sources, request.depot, options, VolumeOptions(), connector)
        peaks = foreseen.peaks
        note_peaks(peaks, progress)
    result = _persist(lambda: _write(request, sources, options, connector))
    replaced = tuple(bundle for bundle in others if bundle != result.bundle)
    if replaced:  # only now, when the new one is in place
        _delete(request.depot, connector, replaced)
    return replace(result, replaced=replaced, peaks=peaks)


def _persist(write: Callable[[], PushResult]) -> PushResult:
    """Write again what garbage collection removed meanwhile; now it sees our manifest."""
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
        exported = export(sources, writer, [request.signer], options, connector.progress)
    remember_export(exported.manifest, connector.progress)
    return PushResult(
        exported.bundle,
        exported.manifest,
        was_there=False,
        packs_written=exported.packs_written,
        packs_there=exported.packs_there,
        bytes_written=exported.bytes_written,
    )


def _attach(
    depot: Depot, bundle: str, manifest: Manifest, options: BundleOptions, progress: Progress
) -> tuple[str, ...]:
    """Put what is asked for beside a bundle that is there; return what was not there before.

    A statement of this key that is there already stays as it is: a key says a thing once.

    Raises:
        ConflictError: another file of this name is there, or no room is left.
    """
    reader = DepotBundle(depot, bundle)
    there = frozenset(reader.list_files())
    made = make_attachments(options.attachments, bundle, manifest)
    given = {foreign.file for foreign in _list_given(options.attachments)}
    for file, data in made.items():
        if file in given or file not in there:
            attach(reader, file, data, progress)
    return tuple(file for file in made if file not in there)


def _list_given(makers: Sequence[AttachmentMaker]) -> Iterator[ForeignFile]:
    for maker in makers:
        if isinstance(maker, GivenFiles):
            yield from maker.files


def _find_top(kind: Kind, sources: Sequence[Source]) -> _Key:
    """Return the key of the pushed item: the models of a Bento come before it."""
    return next(source.key for source in reversed(sources) if source.kind == kind)


def _find_own_bundles(signer: Signer, depot: Depot, top: _Key) -> Iterator[tuple[str, Manifest]]:
    """Yield the bundles of a depot that hold an item and are signed by this key."""
    _, name, version = top
    for bundle in open_depot.read_bundles(depot):
        if not isinstance(bundle, StoredBundle) or not _may_name(bundle.raw, name, version):
            continue
        manifest = _decode_own(signer, bundle)
        if manifest is None or manifest.completes is not None:
            continue  # a completing bundle is a source of chunks, and no item (format §22)
        if any(item.key == top for item in manifest.items):
            yield bundle.bundle, manifest


def _may_name(raw: bytes, name: str, version: str) -> bool:
    return name.encode() in raw and version.encode() in raw


def _decode_own(signer: Signer, bundle: StoredBundle) -> Manifest | None:
    """Decode a manifest if this key has signed it; None if not."""
    keys = {signer.key.id: signer.key}
    try:
        if find_valid_signers("builder", bundle.raw, bundle.evidence.envelopes, keys):
            return manifests.decode(bundle.raw)
    except AirgapError:  # a malformed envelope of someone else: not a bundle to rely on
        pass
    return None


def _holds_the_same(
    request: PushRequest,
    options: BundleOptions,
    manifest: Manifest,
    digests: Mapping[_Key, bytes],
) -> bool:
    """Tell whether a bundle holds exactly these items, on these terms."""
    same = {item.key: item.digest for item in manifest.items} == digests
    terms = manifest.channel, manifest.audience, manifest.expires_at, manifest.labels
    audience = tuple(sorted(set(options.audience)))
    wanted = options.channel, audience, options.expires_at, options.labels
    numbered = options.sequence is None or options.sequence == manifest.sequence
    carried = request.bare or manifest.carried == len(manifest.chunks)
    return same and terms == wanted and numbered and carried


def _is_complete(
    depot: Depot, bundle: str, manifest: Manifest, signer: Signer, progress: Progress
) -> bool:
    """Tell whether a bundle has all its packs, and none is about to be removed."""
    files = [layout.envelope_file("builder", signer.key.id)]
    sizes = (
        depot.transport.size(layout.pack_name(pack.digest)) == pack.size for pack in manifest.packs
    )
    published = BundleFiles(bundle, files, manifest.packs)
    return count_missing_packs(depot, published, progress) == 0 and all(sizes)


def _contradicts(manifest: Manifest, digests: Mapping[_Key, bytes], request: PushRequest) -> bool:
    """Tell whether a bundle that holds only this item holds it with other content."""
    tops = [item for item in manifest.items if item.kind in ("bento", request.kind)]
    return len(tops) == 1 and digests[tops[0].key] != tops[0].digest


def _read_digests(
    sources: Sequence[Source], cache: DigestCache, progress: Progress
) -> dict[_Key, bytes]:
    """Return the digests of all items (format §3.2); read what may have changed since it was."""
    progress.begin("comparing", sum(source.tree.size for source in sources))
    try:
        return {source.key: _read_item(source, cache, progress).digest for source in sources}
    finally:
        progress.end()


def _read_item(source: Source, cache: DigestCache, progress: Progress) -> Item:
    progress.name_item(str(source))
    files = []
    for file in source.tree.files:
        cached = load_file(cache, file)
        digest = cached.digest if cached else _read_file(file, progress)
        files.append(File(file.path, file.executable, file.size, digest, ()))
    return make_item(source.kind, source.name, source.version, [*files, *plain_entries(source)])


def _read_file(file: SourceFile, progress: Progress) -> bytes:
    digest = hashlib.sha256()
    for piece in read_stable(file):
        digest.update(piece)
        progress.advance(len(piece))
    return digest.digest()


def _make_conflict(
    request: PushRequest, sources: Sequence[Source], others: Sequence[str]
) -> ConflictError:
    _, name, version = _find_top(request.kind, sources)
    depot = replace(request.depot, bundle="")
    return ConflictError(
        f"{depot} holds the {request.kind} {name}:{version} with different content.",
        "Give this one another version, or use --force to replace the old bundle.",
        [f"bundle {bundle}" for bundle in others],
    )


def _delete(location: DepotLocation, connector: Connector, bundles: Sequence[str]) -> None:
    with open_depot.open_depot(location, connector) as depot:
        candidates = [delete.DeletionCandidate(bundle) for bundle in bundles]
        delete.delete_candidates(depot, candidates, connector.progress)
