"""Export: store -> inventory -> chunks -> packs -> manifest -> envelope -> carrier (format §12)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from airgap.carrier.port import BundleWriter
from airgap.chunking.cutters import max_pieces, max_pieces_of_wheel
from airgap.chunking.zip_members import is_wheel
from airgap.codec.table import Preset
from airgap.errors import CorruptError, StorageError
from airgap.flow.bundle import model_signatures
from airgap.flow.disk_use import Peak
from airgap.flow.exporting import sequence as numbering
from airgap.flow.exporting.attachments import (
    AttachmentMaker,
    make_attachments,
    measure_attachments,
)
from airgap.flow.exporting.bases import NO_BASES, Bases
from airgap.flow.exporting.pack import PackOptions, pack_items
from airgap.flow.exporting.read import ChunkNames, FileRun, cut_and_name, plain_entries
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.turns import count_rows
from airgap.flow.exporting.unread import find_unread
from airgap.flow.ledger.record import EventRecord, record_for_audience
from airgap.flow.progress import Progress
from airgap.flow.publishing.publish import SignedBundle, publish
from airgap.flow.publishing.sealed_writer import PublishedIndex, SealedWriter, Sealing
from airgap.flow.receipts.attach import attach_checkpoints
from airgap.format import envelope as dsse
from airgap.format import inventory, layout, limits
from airgap.format import manifest as manifests
from airgap.format.inventory import Entry, File, Item, make_item
from airgap.format.ledger import digest
from airgap.format.manifest import ChunkTable, Manifest, Pack
from airgap.signing.signer import Signer
from airgap.state.digest_cache import NO_CACHE, DigestCache
from airgap.store.kinds import find_kind
from airgap.store.source_tree import SourceFile, StableFile
from airgap.version import __version__

__all__ = [
    "NUMBERS_BYTES",
    "BundleOptions",
    "Draft",
    "ExportResult",
    "Preset",
    "draft_item",
    "draft_manifest",
    "export_bare",
    "export_items",
    "foresee_packs",
    "inventory_only",
    "manifest_room",
    "measure_manifest",
    "record_export",
]

NO_DOCUMENTS: Final[Mapping[str, bytes]] = MappingProxyType({})
TOOL: Final = f"airgap {__version__}"
NUMBERS_BYTES: Final = 16
"""What the numbers of a manifest that are not known yet may add to its bytes."""


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """What an exporter may choose. Times are seconds since 1970.

    A ``sequence`` of None stands for the channel's next number (format §17.8).
    """

    jobs: int
    created_at: int | None = None
    channel: str = "default"
    sequence: int | None = 0
    audience: tuple[str, ...] = ()
    expires_at: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    completes: bytes | None = None
    """The id of the bundle to which this one brings missing chunks (format §22)."""
    roots: Mapping[str, bytes] = field(default_factory=dict)
    """Roots that travel with the bundle, and their envelopes, by depot name (format §8)."""
    preset: Preset = "default"
    bases: Bases = NO_BASES
    """What the other side holds already."""
    model_signer: Signer | None = None
    """Who signs each model by itself, for other tools (format §18)."""
    documents: Mapping[str, bytes] = field(default_factory=dict)
    """SHA-256 of documents that the ledger's entry names too (format §17.3)."""
    sealing: Sealing | None = None
    """Whom the bundle is encrypted to (format §34); None: it is not."""
    attachments: tuple[AttachmentMaker, ...] = ()
    """What is attached, in this order (format §24)."""
    recorder: Signer | None = None
    """Who signs the checkpoints that travel with the bundle (format §29.5); None: none do."""
    cache: DigestCache = NO_CACHE
    """What need not be read again."""
    expected: Mapping[tuple[str, str, str], bytes] = field(default_factory=dict)
    """The digests that items must have, by kind, name and version: they were approved by those."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export made. ``path`` is the archive for stock BentoML, if it made one.

    ``volumes`` are the folders of volumes, and ``survives`` says that any one may be lost.
    """

    bundle: str
    manifest: Manifest
    packs_written: int
    packs_there: int
    bytes_written: int
    """Those of the packs and parity packs; of an archive that has none, all of it."""
    path: str = ""
    volumes: tuple[str, ...] = ()
    volume_sizes: tuple[int, ...] = ()
    volumes_written: tuple[int, ...] = ()
    """The bytes of ``volume_sizes`` that were not there from an earlier run."""
    """The bytes of the packs and parity packs of each volume."""
    survives: bool = False
    peaks: tuple[Peak, ...] = ()
    """The space that was expected to be needed on each file system."""
    index: PublishedIndex | None = None
    """If it was sealed: its index, whose id names it."""

    @property
    def published(self) -> PublishedIndex:
        """The manifest that was published, and its bundle id: those of the index if sealed."""
        return self.index or PublishedIndex(self.bundle, self.manifest)


def export_items(
    sources: Sequence[Source],
    below: BundleWriter,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Write one signed bundle with these items; sealed, if the settings say so.

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
        CorruptError: a path or link may not travel (format §2.5, §2.6).
    """
    sealed = SealedWriter(below, settings.sealing, progress) if settings.sealing else None
    writer = sealed or below
    try:
        _refuse_unfit(sources, settings)
        _warn_of_small_signers(sources, signers, settings, progress)
        progress.begin("exporting", sum(source.tree.size for source in sources))
        for name, data in settings.roots.items():
            writer.put_root(name, data)
        options = foresee_packs(sources, settings, lambda pack: not writer.lacks(pack))
        packed = pack_items(sources, writer, options, progress)
        _refuse_damaged(sources, packed.items, settings.expected)
        created = _find_creation_time(sources)
        draft = _manifest(packed.items, packed.chunks, packed.packs, settings, created)
        refuse_changes(sources)
        manifest = numbering.assign_sequence(draft, settings.sequence, progress)
        raw = manifests.encode(manifest)
        envelopes = sign_manifest(raw, signers)
        if settings.model_signer:
            envelopes |= model_signatures.sign(manifest.items, settings.model_signer)
        bundle = manifests.bundle_id(raw)
        envelopes |= make_attachments(settings.attachments, bundle, manifest)
        record_export(manifest, raw, signers, progress, settings.documents)
        envelopes |= _attach(manifest, raw, settings)
        publish(writer, SignedBundle(bundle, raw, envelopes, manifest.packs), progress)
        settings.cache.save()
    finally:
        writer.abort()
        progress.end()
    shared = len(packed.packs) - packed.packs_written
    return ExportResult(
        bundle,
        manifest,
        packed.packs_written,
        shared,
        packed.bytes_written,
        index=sealed.index if sealed else None,
    )


def foresee_packs(
    sources: Sequence[Source], settings: BundleOptions, has_pack: Callable[[Pack], bool]
) -> PackOptions:
    """Find what need not be read, where ``has_pack`` tells of each pack whether it is there."""
    bases = settings.bases
    unread = find_unread(sources, settings.cache, settings.preset, bases, has_pack)
    return PackOptions(settings.jobs, settings.preset, bases, unread, settings.cache)


def export_bare(
    sources: Sequence[Source],
    writer: BundleWriter,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Write one signed bundle that names all chunks and carries none (format §4.2).

    Raises:
        StorageError: a file changed while it was read, or the disk refused.
    """
    try:
        progress.begin("reading", sum(source.tree.size for source in sources))
        manifest = inventory_only(sources, settings, _read_only, progress)
        _refuse_damaged(sources, manifest.items, settings.expected)
        raw = manifests.encode(manifest)
        bundle = manifests.bundle_id(raw)
        envelopes = sign_manifest(raw, signers)
        envelopes |= make_attachments(settings.attachments, bundle, manifest)
        record_export(manifest, raw, signers, progress, settings.documents)
        envelopes |= _attach(manifest, raw, settings)
        publish(writer, SignedBundle(bundle, raw, envelopes, ()), progress)
    finally:
        writer.abort()
        progress.end()
    return ExportResult(bundle, manifest, 0, 0, 0)


def _attach(manifest: Manifest, raw: bytes, settings: BundleOptions) -> dict[str, bytes]:
    """Return the checkpoints that travel with a bundle that was recorded (format §29.5)."""
    if settings.recorder is None:
        return {}
    return attach_checkpoints(manifest, digest(raw), settings.recorder)


def record_export(
    manifest: Manifest,
    raw: bytes,
    signers: Sequence[Signer],
    progress: Progress,
    documents: Mapping[str, bytes] = NO_DOCUMENTS,
) -> None:
    """Record a signed bundle that is published next, for each site that it is for (format §17.3).

    ``documents`` are digests of further documents that it was exported by.

    Raises:
        PolicyError: a ledger is not consistent.
        StorageError: one cannot be written.
    """
    key_ids = [signer.key.id for signer in signers]
    bundle = digest(raw)
    record = EventRecord(
        "exported",
        bundle=bundle,
        channel=manifest.channel,
        sequence=manifest.sequence,
        documents={"manifest": bundle, **documents},
        key=key_ids[0] if key_ids else "",
        signed_by={"builder": key_ids},
    )
    record_for_audience(manifest.audience, record, progress)


def sign_manifest(raw: bytes, signers: Sequence[Signer]) -> dict[str, bytes]:
    """Sign a manifest as builders; return the envelopes by file name (format §6.2)."""
    return {
        layout.envelope_file("builder", signer.key.id): dsse.encode(signer.sign("builder", raw))
        for signer in signers
    }


def _refuse_unfit(sources: Sequence[Source], settings: BundleOptions) -> None:
    """Tell of a path that may not travel before gigabytes are read."""
    drafts = [draft_item(source) for source in sources]
    if settings.model_signer:
        model_signatures.refuse_unsignable(drafts, settings.model_signer)


def _refuse_damaged(
    sources: Sequence[Source],
    items: Sequence[Item],
    expected: Mapping[tuple[str, str, str], bytes],
) -> None:
    """Compare what was read with what the items say of themselves, and with what was looked at.

    Raises:
        CorruptError: see ``ItemKind.check_read``; or an item has another digest than expected.
    """
    for source, item in zip(sources, items, strict=True):
        find_kind(item.kind).check_read(item, source)
        wanted = expected.get((item.kind, item.name, item.version), item.digest)
        if item.digest != wanted:
            raise CorruptError(
                f"The {item} has the digest {item.digest.hex()} now, and not {wanted.hex()}.",
                "It was changed meanwhile: compare it again before it is signed.",
            )


def _warn_of_small_signers(
    sources: Sequence[Source],
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> None:
    """Say before the work begins that its manifest may be too long for an ssh-agent."""
    limits_of_signers = [signer.max_bytes for signer in signers if signer.max_bytes is not None]
    if limits_of_signers and manifest_room(sources, settings) > min(limits_of_signers):
        progress.note(
            f"The manifest may grow past the {min(limits_of_signers):,} bytes that this key's"
            " keeper can sign; then the export fails at its end."
        )


def refuse_changes(sources: Sequence[Source]) -> None:
    """Demand that the items are as they were when the export began.

    Raises:
        StorageError: something was added, removed or changed.
    """
    for source in sources:
        if find_kind(source.kind).has_changed(source):
            raise StorageError(
                f"The {source.kind} {source.name}:{source.version} changed during the export.",
                "Wait until no program writes to it, and run the same command again.",
            )


def draft_item(source: Source) -> Item:
    """Make the item without digests and chunks: checks its paths, and bounds its manifest."""
    files = [
        File(file.path, file.executable, file.size, bytes(32), ()) for file in source.tree.files
    ]
    entries = [*files, *plain_entries(source)]
    return inventory.draft_item(source.kind, source.name, source.version, entries)


@dataclass(frozen=True, slots=True)
class Draft:
    """The manifest of items that were not read yet, and the bytes that it has."""

    manifest: Manifest
    size: int


def draft_manifest(sources: Sequence[Source], settings: BundleOptions) -> Draft:
    """Make the manifest of items without digests, chunks and packs.

    Raises:
        CorruptError: as ``draft_item``.
    """
    items = tuple(draft_item(source) for source in sources)
    manifest = _manifest(items, ChunkTable(b"", ()), (), settings, 0)
    return Draft(manifest, len(manifests.encode(manifest)))


def manifest_room(
    sources: Sequence[Source], settings: BundleOptions, draft: Draft | None = None
) -> int:
    """Return a number of bytes that the manifest of these items, and attachments, cannot exceed.

    It follows from names and sizes, and from where wheels are cut, so that the same items leave the
    same room. ``draft`` is theirs, if it was made already.

    Raises:
        StorageError: a wheel changed since it was scanned, or cannot be read.
    """
    draft = draft or draft_manifest(sources, settings)
    files = [file for source in sources for file in source.tree.files]
    chunks = sum(map(_max_pieces, files))
    packs = count_rows(sources) + sum(file.size for file in files) // limits.PACK_TARGET_BYTES
    # 93 bytes per chunk: digest 32, length 4, place in its file 4, block of its own 17, and digest
    # and length of a base; 40 per pack; headers that grow from 1 to 5 bytes, per file and in all.
    per_chunk = 57 if settings.bases is NO_BASES else 93
    room = draft.size + per_chunk * chunks + 40 * packs + 8 * len(files) + 1024
    return room + measure_attachments(settings.attachments, draft.manifest)


def measure_manifest(
    items: tuple[Item, ...],
    chunks: ChunkTable,
    packs: tuple[Pack, ...],
    settings: BundleOptions,
) -> int:
    """Return the bytes that a manifest of this has, or a few more: its number is not known yet."""
    manifest = _manifest(items, chunks, packs, settings, limits.TIME)
    return len(manifests.encode(manifest)) + NUMBERS_BYTES


def _max_pieces(file: SourceFile) -> int:
    if not is_wheel(file.path):
        return max_pieces(file.size)
    with StableFile(file) as stable:
        return max_pieces_of_wheel(stable)


def inventory_only(
    sources: Sequence[Source],
    settings: BundleOptions,
    carry: Callable[[Source, SourceFile, Iterator[bytes]], None],
    progress: Progress,
) -> Manifest:
    """Read all files once, hand their bytes to ``carry``, and describe them without packs (§10)."""
    names = ChunkNames()
    items = []
    for source in sources:
        progress.name_item(str(source))
        entries: list[Entry] = plain_entries(source)
        for file in source.tree.files:
            run = FileRun(file)
            carry(source, file, cut_and_name(run, names, progress))
            entries.append(run.entry(names))
        items.append(make_item(source.kind, source.name, source.version, entries))
    refuse_changes(sources)
    created = _find_creation_time(sources)
    draft = _manifest(tuple(items), names.table(), (), settings, created)
    return numbering.assign_sequence(draft, settings.sequence, progress)


def _find_creation_time(sources: Sequence[Source]) -> int:
    """Return when the newest item was made, in seconds since 1970; so the same items say the same.

    If none of them says, it is the last change of a file.
    """
    dated = max(source.created_at for source in sources)
    changes = (file.times[0] // 10**9 for source in sources for file in source.tree.files)
    return dated or min(max(0, *changes), limits.TIME)


def _read_only(_: Source, __: SourceFile, pieces: Iterator[bytes]) -> None:
    for _piece in pieces:
        pass


def _manifest(
    items: tuple[Item, ...],
    chunks: ChunkTable,
    packs: tuple[Pack, ...],
    settings: BundleOptions,
    created_at: int,
) -> Manifest:
    return Manifest(
        items=items,
        chunks=chunks,
        packs=packs,
        created_at=created_at if settings.created_at is None else settings.created_at,
        tool=TOOL,
        channel=settings.channel,
        sequence=settings.sequence or 0,
        audience=tuple(sorted(set(settings.audience))),
        expires_at=settings.expires_at,
        labels=settings.labels,
        completes=settings.completes,
    )
