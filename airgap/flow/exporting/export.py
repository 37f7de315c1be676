"""The use case of exporting: from a request to a written bundle."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airgap.carrier.local_depot import DepotWriter
from airgap.disk.os_errors import storage_error
from airgap.disk.temporary import find_temporary_folder
from airgap.errors import ConfigurationError, UsageError
from airgap.flow.bundle.import_order import describe_neighbours
from airgap.flow.bundle.open_bundle import open_unverified
from airgap.flow.disk_use import note_peaks
from airgap.flow.exporting import stock_archive, write_bundle
from airgap.flow.exporting.attachment_options import AttachmentOptions, list_makers
from airgap.flow.exporting.attachments import describe_closure
from airgap.flow.exporting.builders import require_builders
from airgap.flow.exporting.closure import Closure
from airgap.flow.exporting.foresee import Foreseen, foresee, spool_folder
from airgap.flow.exporting.gather import gather_sources
from airgap.flow.exporting.remember import remember_export
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.terms import Terms
from airgap.flow.exporting.want import find_bases, list_wanted_tags
from airgap.flow.exporting.write_bundle import BundleOptions, ExportResult, Preset
from airgap.flow.ledger.record import EventRecord, recording
from airgap.flow.ledger.sealed import make_recorder
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.destination import name_depot, require_writable
from airgap.flow.location.location import (
    ArchiveFile,
    LocalDepot,
    Location,
    RemoteStockArchive,
    StandardInput,
    StockArchive,
)
from airgap.flow.location.readers import is_kit
from airgap.flow.location.writers import open_writer
from airgap.flow.media.earlier_layout import holds_volume
from airgap.flow.media.small_files import read_small_files
from airgap.flow.media.split import VolumeOptions, add_parity, write_volumes
from airgap.flow.media.volumes import read_labels
from airgap.flow.progress import Progress
from airgap.flow.publishing.recipients import SealTo, choose_recipients
from airgap.flow.publishing.sealed_writer import Sealing, measure_room
from airgap.format.inventory import Item
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.format.ledger import digest
from airgap.format.want import Want
from airgap.signing.signer import Signer
from airgap.state.digest_cache import open_cache

if TYPE_CHECKING:
    from airgap.bom.policy import LicencePolicy
    from airgap.flow.bundle.open_to_sign import BundleToSign
    from airgap.flow.licences.gate import LicenceReport

__all__ = [
    "ExportPlan",
    "ExportRequest",
    "export",
    "note_other_volumes",
    "plan_export",
    "sign_bundle",
]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, signed by whom, on which terms, and where to."""

    bentos: Sequence[str]
    models: Sequence[str]
    destination: Location | None
    """None: the folders of ``media`` get volumes."""
    signers: Sequence[Signer]
    terms: Terms = field(default_factory=Terms)
    others: Mapping[Kind, Sequence[str]] = field(default_factory=dict)
    """Items of further kinds, by tag."""
    closure: Closure = field(default_factory=Closure)
    with_models: bool = True
    bases: Sequence[Location] = ()
    """What the other side has, as a person says: bundles, depots or manifests."""
    identities: Sequence[str] = ()
    """What opens the sealed ones of ``bases``: files, or descriptors as ``fd:N``."""
    want: Want | None = None
    """What an import lacked: the bundle carries exactly that."""
    roots: Mapping[str, bytes] = field(default_factory=dict)
    """Roots that travel with the bundle, and their envelopes, by depot name (format §8)."""
    model_signer: Signer | None = None
    """Who signs each model by itself, for other tools (format §18)."""
    licence_policy: Path | None = None
    """The file that says which licences may travel (format §30.4); None: any."""
    seal_to: SealTo | None = None
    """Whom to encrypt to; None: the bundle is not sealed."""
    attachments: AttachmentOptions = field(default_factory=AttachmentOptions)
    recorder: Signer | None = None
    """Who signs the checkpoints that travel with the bundle (format §29.5); None: none do."""
    compression: Preset = "default"
    media: VolumeOptions = field(default_factory=VolumeOptions)
    """Asks for volumes, or for parity in a depot."""
    jobs: int | None = None
    """Threads; None: the processors there are."""
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)
    expected: Mapping[tuple[str, str, str], bytes] = field(default_factory=dict)
    """The digests that items must have, by kind, name and version; others may have any."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What an export would write: items, without their digests, and what it needs."""

    items: tuple[Item, ...]
    foreseen: Foreseen


def export(request: ExportRequest, progress: Progress) -> ExportResult:
    """Write one signed bundle: a depot, a ``.airgap`` file, standard output, or a stock archive.

    Raises:
        ConfigurationError: there is no key, no root that travels has it as a builder, or the
            licence policy cannot be used.
        MissingError: something that was asked for, or a model it needs, is not here.
        PolicyError: an item holds what looks like a password or a token, or the licence policy
            refuses one.
        UsageError: the request contradicts itself, or the destination cannot have it.
        StorageError, CorruptError: see ``write_bundle.export_items``.
        TransportError: a server cannot be reached, or broke off.
    """
    if not request.signers:
        raise ConfigurationError("There is no key to sign with.", "Give --key FILE.key.")
    with open_cache(rereads=request.transfer.reread) as cache:
        return _export(request, Connector(request.credentials, request.transfer, progress, cache))


def _export(request: ExportRequest, connector: Connector) -> ExportResult:
    """Export with a cache. Raises as ``export``."""
    progress = connector.progress
    require_builders(request.signers, request.roots)
    _refuse_unfit(request)
    settings = _make_options(request, connector)
    policy = _load_policy(request)
    with _select(request, progress, collects=True) as sources:
        if policy:
            report = _check_licences(policy, sources, progress)
            settings = replace(settings, documents=report.documents)
        settings = _add_attachments(request, sources, settings)
        foreseen = foresee(sources, request.destination, settings, request.media, connector)
        note_peaks(foreseen.peaks, progress)
        _require_writable(request)
        done = _write(sources, request, settings, connector)
    remember_export(done.manifest, progress)
    return replace(done, peaks=foreseen.peaks)


def _load_policy(request: ExportRequest) -> "LicencePolicy | None":
    """Load the licence policy, if there is one: most exports need nothing of it in memory."""
    if request.licence_policy is None:
        return None
    from airgap.flow.licences.gate import load_policy

    return load_policy(request.licence_policy)


def _check_licences(
    policy: "LicencePolicy", sources: Sequence[Source], progress: Progress
) -> "LicenceReport":
    from airgap.flow.exporting.licence_check import check_sources

    return check_sources(policy, sources, progress)


def _require_writable(request: ExportRequest) -> None:
    """Prove that local destinations can be written, before the bundle takes a number for them.

    Raises:
        StorageError: one cannot.
    """
    for folder in request.media.folders:
        require_writable(folder)
    match request.destination:
        case LocalDepot(path):
            require_writable(path)
        case ArchiveFile(path) | StockArchive(path):
            require_writable(path.absolute().parent)
        case _:  # a server says so itself, and standard output is open already
            pass


def plan_export(request: ExportRequest, progress: Progress) -> ExportPlan:
    """Say what an export would write, and what it needs on each file system; write nothing.

    No key is needed. Packages are not collected: of a wheelhouse that is not in the store yet, a
    note says that it is not in the plan.

    Raises:
        AirgapError: as ``export``.
    """
    with open_cache(rereads=request.transfer.reread) as cache:
        return _plan(request, Connector(request.credentials, request.transfer, progress, cache))


def _plan(request: ExportRequest, connector: Connector) -> ExportPlan:
    """Plan with a cache. Raises as ``plan_export``."""
    progress = connector.progress
    _refuse_unfit(request)
    settings = _make_options(request, connector)
    policy = _load_policy(request)
    with _select(request, progress, collects=False) as sources:
        if policy:
            _check_licences(policy, sources, progress)
        settings = _add_attachments(request, sources, settings)
        foreseen = foresee(sources, request.destination, settings, request.media, connector)
        items = tuple(write_bundle.draft_item(source) for source in sources)
    return ExportPlan(items, foreseen)


@contextmanager
def _select(
    request: ExportRequest, progress: Progress, *, collects: bool
) -> Iterator[list[Source]]:
    """Give the items that travel; what is made for the export goes with the block."""
    tags = {BENTO.name: request.bentos, MODEL.name: request.models, **request.others}
    if request.want and not (any(tags.values()) or request.closure):
        tags = list_wanted_tags(request.want)
    with gather_sources(
        tags,
        request.closure,
        progress,
        with_models=request.with_models,
        allow_credentials=request.terms.allow_credentials,
        tmpdir=request.transfer.spool,
        collects=collects,
    ) as sources:
        yield sources


def _write(
    sources: Sequence[Source],
    request: ExportRequest,
    settings: BundleOptions,
    connector: Connector,
) -> ExportResult:
    """Write the bundle where the request says. Raises as ``export``."""
    progress = connector.progress
    match request.destination:
        case None:
            return _to_volumes(sources, request, settings, progress)
        case LocalDepot() if request.media.makes_volumes:
            return _to_volumes(sources, request, settings, progress)
        case StockArchive() as target:
            return stock_archive.export_stock(sources, target, request.signers, settings, progress)
        case RemoteStockArchive() as target:
            return stock_archive.export_remote_stock(
                sources, target, request.signers, settings, connector
            )
        case location:
            room = partial(_measure_room, sources, settings)
            with open_writer(location, room, connector) as writer:
                done = write_bundle.export_items(
                    sources, writer, request.signers, settings, progress
                )
    if isinstance(location, LocalDepot) and done.index is None:
        note = describe_neighbours(location, done.manifest)
        if note:
            progress.note(note)
    if request.media.percent and isinstance(location, LocalDepot):
        published, percent = done.published, request.media.percent
        parity = add_parity(
            location.path, published.bundle, published.manifest.packs, percent, progress
        )
        return replace(done, bytes_written=done.bytes_written + parity)
    return done


def _measure_room(sources: Sequence[Source], settings: BundleOptions) -> int:
    """Return a number of bytes that the manifest, or the index, cannot exceed."""
    room = write_bundle.manifest_room(sources, settings)
    return measure_room(room) if settings.sealing else room


def _make_sealing(request: ExportRequest, progress: Progress) -> Sealing | None:
    """Choose whom to seal to. Raises as ``choose_recipients``."""
    if request.seal_to is None:
        return None
    return Sealing(
        choose_recipients(request.seal_to, progress),
        request.signers,
        int(time.time()),
        tuple(sorted(set(request.terms.audience))),
        "" if request.media.makes_volumes else name_depot(request.destination),
        make_recorder(request.signers, progress),
    )


def _make_options(request: ExportRequest, connector: Connector) -> BundleOptions:
    settings = replace(
        request.terms.make_options(request.jobs),
        sealing=_make_sealing(request, connector.progress),
        roots=request.roots,
        preset=request.compression,
        bases=find_bases(request.bases, request.want, connector, request.identities),
        model_signer=request.model_signer,
        recorder=request.recorder,
        cache=connector.cache,
        expected=request.expected,
    )
    if request.want is None:
        return settings
    return replace(settings, sequence=0, completes=request.want.bundle)


def _add_attachments(
    request: ExportRequest, sources: Sequence[Source], settings: BundleOptions
) -> BundleOptions:
    asked = {
        "bentos": list(request.bentos),
        "models": list(request.models),
        "sequence": request.terms.sequence,
        "withModels": request.with_models,
        **describe_closure(request.closure),
    }
    signer = request.signers[0] if request.signers else None  # a plan has no key
    makers = list_makers(request.attachments, signer, sources, asked, settings)
    return replace(settings, attachments=tuple(makers))


def _refuse_unfit(request: ExportRequest) -> None:
    """Refuse what the destination cannot have.

    Raises:
        UsageError: volumes or parity where there are no packs in a folder; or single signatures, or
            a difference, where an archive for stock BentoML is written.
    """
    media = request.media
    if request.destination is not None and is_kit(request.destination):
        raise UsageError(f"{request.destination} is a kit.", "Give another folder.")
    if request.want and request.terms.sequence:
        raise UsageError(
            "A bundle that completes another has no number: the import of both has the other's.",
            "Leave out --sequence.",
        )
    if (
        request.transfer.verify_after_write
        and not media.makes_volumes
        and isinstance(request.destination, StandardInput | LocalDepot | ArchiveFile | StockArchive)
    ):
        raise UsageError(
            "--verify-after-write is for volumes and servers.",
            "Run `airgap verify` on what is local.",
        )
    if (media.percent or media.makes_volumes) and not isinstance(
        request.destination, LocalDepot | None
    ):
        raise UsageError(
            "Volumes and parity packs are files in folders.",
            "Give -o FOLDER; `airgap split FILE.airgap` makes volumes of a file.",
        )
    if isinstance(request.destination, StockArchive | RemoteStockArchive):
        _refuse_unfit_for_stock(request)


def _refuse_unfit_for_stock(request: ExportRequest) -> None:
    """Refuse what an archive for stock BentoML cannot have. Raises UsageError."""
    if request.seal_to:
        raise UsageError(
            "An archive for stock BentoML cannot be sealed: BentoML could not read it.",
            "Leave out --seal, or export into a depot or a .airgap file.",
        )
    if request.model_signer:
        raise UsageError(
            "An archive for stock BentoML carries no signatures of single models.",
            "Leave out --emit-model-signature, or export into a depot or a .airgap file.",
        )
    if request.bases or request.want:
        raise UsageError(
            "An archive for stock BentoML carries everything.", "Leave out --base and --for."
        )
    if request.attachments:
        raise UsageError(
            "An archive for stock BentoML has no attachments.",
            "Leave out --attach, --bom and --provenance, or export into a depot or a .airgap file.",
        )


def sign_bundle(candidate: "BundleToSign", signer: Signer, progress: Progress) -> str:
    """Add a builder's envelope to a bundle; return the envelope's file name.

    Nothing is verified: a second builder signs what was shown.

    Raises:
        ConflictError: no room is left in the ``.airgap`` file, or it is signed by this key.
        PolicyError, StorageError: a ledger of this machine has a fault, or cannot be written.
    """
    ((file, envelope),) = write_bundle.sign_manifest(candidate.raw, [signer]).items()
    record = EventRecord(
        "signed",
        bundle=digest(candidate.raw),
        channel=candidate.manifest.channel,
        sequence=candidate.manifest.sequence,
        documents={"envelope": digest(envelope)},
        key=signer.key.id,
        signed_by={"builder": [signer.key.id]},
    )
    with recording(candidate.manifest.audience, record, progress):
        candidate.reader.add_files([(file, envelope)])
    note_other_volumes(candidate, progress)
    return file


def note_other_volumes(signed: "BundleToSign", progress: Progress) -> None:
    """Say so if what was signed is one volume of several: each is admitted by itself (§19)."""
    for label in read_labels(signed.reader.packs, signed.bundle, len(signed.manifest.packs)):
        if label.count > 1:
            progress.note(
                f"This is volume {label.number} of {label.count}, and only it is signed: each is"
                " admitted by what lies on it. Sign the others too, or sign before `airgap split`."
            )


def _to_volumes(
    sources: Sequence[Source], request: ExportRequest, settings: BundleOptions, progress: Progress
) -> ExportResult:
    """Write a depot first: how many volumes there are is known when all packs are.

    Numbered folders get its packs by renaming; media that are mounted get copies.
    """
    media = request.media
    if any(map(holds_volume, media.folders)):
        progress.note(
            "These media hold volumes of an earlier run. The items are packed again and compared;"
            " what is there already is not written again."
        )
    with _spool(media, request.transfer.spool) as spool:
        writer = DepotWriter(spool)
        done = write_bundle.export_items(sources, writer, request.signers, settings, progress)
        with open_unverified(LocalDepot(spool, done.published.bundle)) as opened:
            move = not media.folders
            contents = read_small_files(opened)
            made = write_volumes(opened.reader, contents, media, progress, move=move)
    return replace(
        done,
        bytes_written=sum(made.written),
        volumes=tuple(map(str, made.folders)),
        volume_sizes=made.sizes,
        volumes_written=made.written,
        survives=made.survives,
    )


@contextmanager
def _spool(media: VolumeOptions, tmpdir: Path | None) -> Iterator[Path]:
    """Give a folder for a depot that is only on its way; a failed export leaves it for the next."""
    spool = spool_folder(media)
    if spool:
        yield spool
        shutil.rmtree(spool, ignore_errors=True)
        return
    top = find_temporary_folder(tmpdir)
    try:
        with tempfile.TemporaryDirectory(prefix="airgap-", dir=top) as folder:
            yield Path(folder) / "depot"
    except OSError as error:
        raise storage_error(error, top) from error
