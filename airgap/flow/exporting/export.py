"""From tags and a destination to a written bundle: chooses the carrier's form."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from airgap.carrier.archive import ArchiveWriter
from airgap.carrier.local_depot import DepotWriter
from airgap.disk.os_errors import storage_error
from airgap.errors import StorageError, UsageError
from airgap.flow.bundle.open_bundle import STDIN, Unverified, open_unverified
from airgap.flow.exporting import select, stock_archive, write_bundle
from airgap.flow.exporting.bases import NO_BASES
from airgap.flow.exporting.select import Source
from airgap.flow.exporting.write_bundle import BundleOptions, ExportResult
from airgap.flow.location import remote
from airgap.flow.location.credentials import ANYBODY, Access
from airgap.flow.location.remote import SUFFIX, RemoteLocation
from airgap.flow.location.writers import open_writer_elsewhere
from airgap.flow.media.small_files import small_files_of
from airgap.flow.media.split import VolumeOptions, add_parity, write_volumes
from airgap.flow.media.volumes import read_labels
from airgap.flow.progress import Progress
from airgap.format import limits, names
from airgap.format.kinds import BENTO, MODEL, Kind
from airgap.signing.signer import Signer

__all__ = ["SUFFIX", "ExportRequest", "export", "sign_bundle", "tell_of_others"]

_COPY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export. ``tmpdir`` is where ``-o -`` spools; None means the system's place.

    ``others`` are items of further kinds, by tag.

    ``access`` says how a destination is reached that is elsewhere.

    ``format_name`` is one of ``interchange.FORMATS``, or None if the destination's name decides.
    ``exact_name`` keeps a file's name although it does not say the format. ``media`` asks for
    volumes, or for parity in a depot.
    """

    bentos: Sequence[str]
    models: Sequence[str]
    with_models: bool = True
    tmpdir: Path | None = None
    format_name: str | None = None
    exact_name: bool = False
    access: Access = ANYBODY
    media: VolumeOptions = field(default_factory=VolumeOptions)
    others: Mapping[Kind, Sequence[str]] = field(default_factory=dict)


def export(
    request: ExportRequest,
    destination: str,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Write one signed bundle: a depot, a ``.airgap`` file or standard output, or a stock archive.

    Raises:
        MissingError: something that was asked for, or a model it needs, is not here.
        StorageError, CorruptError: see ``outbound.export_items``.
        TransportError: the destination is elsewhere and cannot be reached, or broke off.
    """
    destination = remote.local_path(destination)
    _refuse_names(settings)
    if not signers:
        raise UsageError("There is no key to sign with.", "Give --key FILE.key.")
    _demand_packs(request, destination)
    tags = {BENTO.name: request.bentos, MODEL.name: request.models, **request.others}
    sources = select.select_items(tags, with_models=request.with_models)
    if request.media.makes_volumes:
        return _to_volumes(sources, request, signers, settings, progress)
    if remote.is_remote(destination):
        found = remote.look(destination, request.access)
        return _to_elsewhere(sources, found, request, signers, settings, progress)
    format_name = request.format_name or stock_archive.format_of_name(destination)
    if format_name:
        _refuse_for_stock(destination, settings)
        target = stock_archive.target_of(
            sources, destination, format_name, exact_name=request.exact_name
        )
        return stock_archive.export_stock(sources, target, signers, settings, progress)
    if destination == STDIN:
        return _to_stdout(sources, request.tmpdir, signers, settings, progress)
    path = Path(destination)
    writer = _writer(path, sources, settings)
    done = write_bundle.export_items(sources, writer, signers, settings, progress)
    if request.media.percent:
        add_parity(path, done.bundle, done.manifest.packs, request.media.percent, progress)
    return done


def _refuse_for_stock(destination: str, settings: BundleOptions) -> None:
    """Refuse what an archive for stock BentoML cannot have."""
    if settings.model_signer:
        raise UsageError(
            "An archive for stock BentoML carries no signatures of single models.",
            "Leave out --emit-model-signature, or export into a depot or a .airgap file.",
        )
    if settings.bases is not NO_BASES:
        raise UsageError(
            "An archive for stock BentoML carries everything.", "Leave out --base and --for."
        )
    if destination == STDIN:
        raise UsageError(
            "An archive for stock BentoML needs a place: its manifest lies beside it.",
            "Give -o FILE, or leave out --format.",
        )


def _refuse_names(settings: BundleOptions) -> None:
    for what, name in (
        ("channel", settings.channel),
        *(("site", one) for one in settings.audience),
    ):
        if not names.is_tag_part(name):
            raise UsageError(
                f"{name!r} cannot be a {what}.",
                "Use lower-case letters, digits, '-', '_', '.'; at most 63.",
            )
    if len(settings.audience) > limits.SITES:
        raise UsageError(f"{len(settings.audience)} sites are too many.", "Name none, for all.")


def sign_bundle(place: str, signer: Signer, access: Access = ANYBODY) -> tuple[str, str]:
    """Add a builder's envelope to a bundle; return its id and the envelope's file name.

    Nothing is verified: a second builder signs what lies there. Look at it first.

    Raises:
        UsageError: standard input cannot be signed.
        ConflictError: no room is left in the ``.airgap`` file, or it is signed by this key.
    """
    if place == STDIN:
        raise UsageError("Standard input cannot be signed.", "Give a depot or a .airgap file.")
    with open_unverified(place, access) as opened:
        ((file, envelope),) = write_bundle.sign_manifest(opened.raw, [signer]).items()
        opened.reader.add_files([(file, envelope)])
        tell_of_others(opened, access)
    return opened.bundle, file


def tell_of_others(opened: Unverified, access: Access) -> None:
    """Say so if what was signed is one volume of several: each is admitted by itself (§19)."""
    for label in read_labels(opened.reader.packs, opened.bundle, len(opened.manifest.packs)):
        if label.count > 1:
            access.tell(
                f"This is volume {label.number} of {label.count}, and only it is signed: each is"
                " admitted by what lies on it. Sign the others too, or sign before `airgap split`."
            )


def _to_elsewhere(  # noqa: PLR0913, PLR0917  (what ``export`` was given)
    sources: Sequence[Source],
    found: RemoteLocation,
    request: ExportRequest,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Write a depot, or a single file, that is elsewhere."""
    found.refuse_other_formats(request.format_name)
    room = partial(write_bundle.manifest_room, sources, settings)
    with open_writer_elsewhere(found, room, progress) as writer:
        return write_bundle.export_items(sources, writer, signers, settings, progress)


def _demand_packs(request: ExportRequest, destination: str) -> None:
    """Refuse volumes and parity where there are no packs to put on volumes.

    Raises:
        UsageError: the destination is no folder.
    """
    media = request.media
    is_depot = not request.format_name and not stock_archive.format_of_name(destination)
    is_depot = (
        is_depot
        and not remote.is_remote(destination)
        and destination != STDIN
        and not destination.endswith(SUFFIX)
    )
    if (media.percent or media.makes_volumes) and not is_depot:
        raise UsageError(
            "Volumes and parity packs are files in folders.",
            "Give -o FOLDER; `airgap split FILE.airgap` makes volumes of a file.",
        )


def _writer(
    path: Path, sources: Sequence[Source], settings: BundleOptions
) -> ArchiveWriter | DepotWriter:
    """Choose by the destination's name."""
    if path.name.endswith(SUFFIX) and not path.is_dir():
        return ArchiveWriter(path, write_bundle.manifest_room(sources, settings))
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file.", f"Give a folder, or a name that ends in {SUFFIX}.")
    return DepotWriter(path)


def _to_volumes(
    sources: Sequence[Source],
    request: ExportRequest,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Write a depot first: how many volumes there are is known when all packs are.

    Numbered folders get its packs by renaming; media that are mounted get copies.
    """
    media = request.media
    with _spool(media, request.tmpdir) as spool:
        writer = DepotWriter(spool)
        done = write_bundle.export_items(sources, writer, signers, settings, progress)
        with open_unverified(f"{spool}#{done.bundle}") as opened:
            move = not media.folders
            contents = small_files_of(opened)
            made = write_volumes(opened.reader, contents, media, progress, move=move)
    return replace(done, volumes=tuple(map(str, made.folders)), survives=made.survives)


@contextmanager
def _spool(media: VolumeOptions, tmpdir: Path | None) -> Iterator[Path]:
    """Give a folder for a depot that is only on its way; a failed export leaves it for the next."""
    if not media.folders:
        spool = media.output / "spool.part"
        yield spool
        shutil.rmtree(spool, ignore_errors=True)
        return
    try:
        with tempfile.TemporaryDirectory(prefix="airgap-", dir=tmpdir) as folder:
            yield Path(folder) / "depot"
    except OSError as error:
        raise storage_error(error, tmpdir or tempfile.gettempdir()) from error


def _to_stdout(
    sources: Sequence[Source],
    tmpdir: Path | None,
    signers: Sequence[Signer],
    settings: BundleOptions,
    progress: Progress,
) -> ExportResult:
    """Spool, because the manifest comes first and is known last; then copy."""
    if sys.stdout.isatty():
        raise UsageError(
            "A bundle is not for a terminal.", "Redirect standard output, or give -o FILE."
        )
    try:
        with tempfile.TemporaryDirectory(prefix="airgap-", dir=tmpdir) as folder:
            spool = Path(folder) / f"spool{SUFFIX}"
            progress.note(f"Spooling to {folder}, because the manifest comes first.")
            writer = ArchiveWriter(spool, write_bundle.manifest_room(sources, settings))
            done = write_bundle.export_items(sources, writer, signers, settings, progress)
            _copy_to_stdout(spool)
    except OSError as error:
        raise storage_error(error, tmpdir or tempfile.gettempdir()) from error
    return done


def _copy_to_stdout(spool: Path) -> None:
    """Write all of a file to standard output.

    Through a buffer of our own: with PYTHONUNBUFFERED, Python's has none, and then what a write
    did not take is lost without a word.
    """
    try:
        descriptor = sys.stdout.fileno()
        with spool.open("rb") as file, open(descriptor, "wb", closefd=False) as out:
            shutil.copyfileobj(file, out, _COPY_BYTES)
    except BrokenPipeError as error:
        raise StorageError(
            "Whoever reads standard output stopped.", "Look at the other end of the pipe."
        ) from error
    except OSError as error:
        raise storage_error(error, "Standard output") from error
