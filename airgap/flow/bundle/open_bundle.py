"""From what a person calls a bundle to an open, admitted one."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from airgap.carrier import local_depot
from airgap.carrier.archive import ArchiveReader
from airgap.carrier.local_depot import DepotReader
from airgap.carrier.port import BundleReader, PackSource, SignedManifest
from airgap.carrier.remote_depot import RemoteDepotReader
from airgap.carrier.stock.archive import Form, StockReader, form_of
from airgap.disk.os_errors import storage_error
from airgap.errors import (
    AirgapError,
    CorruptError,
    MissingError,
    NotTrustedError,
    PolicyError,
    UsageError,
)
from airgap.flow.admission.policy import Admission, AdmissionPolicy, require_root
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.flow.location import remote as elsewhere
from airgap.flow.location.credentials import ANYBODY, Access
from airgap.flow.location.remote import RemoteLocation
from airgap.flow.redaction import redact
from airgap.format import limits
from airgap.format import manifest as manifests
from airgap.format import stock_archive as stock
from airgap.format.attestation import ATTESTING_ROLES
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified

__all__ = [
    "STDIN",
    "Opened",
    "Unverified",
    "all_bundles",
    "open_all",
    "open_bundle",
    "open_unverified",
    "read_evidence",
    "require_root",
    "split_place",
    "stock_form",
]

STDIN: Final = "-"


T = TypeVar("T")
_ID: Final = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Unverified:
    """A bundle whose manifest was read and decoded, and nothing more."""

    reader: BundleReader
    bundle: str
    manifest: Manifest
    raw: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """An admitted bundle: nothing but its manifest and envelopes has been read."""

    reader: BundleReader
    packs: PackSource
    bundle: str
    judge: AdmissionPolicy
    admission: Admission
    passed_over: tuple[str, ...] = ()
    """Other bundles of the place that this site's policy refuses, each with the reason."""
    supplies: ChunkSources = field(default_factory=ChunkSources)
    """Where chunks are found that the bundle needs and does not carry (format §4.2)."""
    only: frozenset[tuple[int, str, str]] | None = None
    """The keys of the items that are wanted; None: all."""

    @property
    def manifest(self) -> Verified[Manifest]:
        """The manifest, admitted."""
        return self.admission.manifest

    @property
    def root(self) -> Verified[Root]:
        """The root by which it was admitted."""
        return self.judge.root


@contextmanager
def open_bundle(
    place: str,
    judge: AdmissionPolicy,
    *,
    form: Form | None = None,
    remember: bool = False,
    access: Access = ANYBODY,
) -> Iterator[Opened]:
    """Open a bundle and admit it (format §7.5, §11 steps 1 to 3).

    ``place`` is a depot (its newest bundle that is for this site), ``DEPOT#ID``, a ``.airgap``
    file, ``-`` for standard input, or an archive or folder for stock BentoML (§10), whose form
    is told by its name unless ``form`` says it. A depot and a ``.airgap`` file may be elsewhere
    too: a URL or ``@REMOTE``, reached with ``access``. ``remember`` puts a refusal into the ledger.

    Raises:
        MissingError: there is no bundle.
        NotTrustedError, PolicyError, CorruptError: it is not admitted.
        TransportError: it cannot be reached.
    """
    examine = _Examination(judge)
    readers = _readers(place, form, access)
    try:
        try:
            opened, passed_over = _newest(place, readers, examine, lambda one: one.manifest.value)
        except AirgapError as error:
            raise (examine.remembered(error) if remember else error) from error.__cause__
        yield replace(opened, passed_over=passed_over)
        if place == STDIN:
            _drain(sys.stdin.buffer, opened.manifest.value.stored_size + limits.PADDING_BYTES)
    finally:
        for reader in readers:
            reader.close()


@dataclass(slots=True)
class _Examination:
    """Examines bundles, and knows the last one that was refused for what its builders signed."""

    judge: AdmissionPolicy
    refused: tuple[AirgapError, bytes, Evidence] | None = None

    def __call__(self, reader: BundleReader) -> Opened:
        """Admit one bundle."""
        bundle, raw = _read_manifest(reader)
        evidence = read_evidence(reader)
        try:
            admission = self.judge.admit(raw, evidence)
        except (PolicyError, NotTrustedError) as error:
            self.refused = error, raw, evidence
            raise
        _check_shape(reader, admission.manifest.value)
        return Opened(reader, reader.packs, bundle, self.judge, admission)

    def remembered(self, error: AirgapError) -> AirgapError:
        """Note in the ledger that this ended an import, if it was about the last one refused."""
        if self.refused is None or self.refused[0] not in (error, error.__cause__):
            return error
        return self.judge.record_refusal(self.refused[1], self.refused[2].envelopes, error)


@contextmanager
def open_unverified(place: str, access: Access = ANYBODY) -> Iterator[Unverified]:
    """Open a bundle to look at it. Nothing about it is proven.

    Raises:
        MissingError: there is no bundle.
        CorruptError: it is not a bundle, or is damaged.
        TransportError: it cannot be reached.
    """
    readers = _readers(place, None, access)
    try:
        opened, _ = _newest(place, readers, _look_into, lambda one: one.manifest)
        yield opened
    finally:
        for reader in readers:
            reader.close()


@contextmanager
def open_all(place: str, access: Access = ANYBODY) -> Iterator[tuple[int, Iterator[Unverified]]]:
    """Tell how many bundles a place has, and open one after the other; nothing is proven.

    Raises:
        MissingError: there is none.
        CorruptError: one is not a bundle, or is damaged.
        TransportError: it cannot be reached.
    """
    readers = _readers(place, None, access)
    try:
        yield len(readers), map(_look_into, readers)
    finally:
        for reader in readers:
            reader.close()


def _look_into(reader: BundleReader) -> Unverified:
    """Read and decode a manifest, and nothing more."""
    bundle, raw = _read_manifest(reader)
    manifest = manifests.decode(raw)
    _check_shape(reader, manifest)
    return Unverified(reader, bundle, manifest, raw)


def all_bundles(place: str, access: Access) -> list[BundleReader]:
    """Return a reader for each bundle of a depot, or the one of a ``.airgap`` file.

    Raises:
        MissingError: there is none.
    """
    return _readers(place, None, access)


def read_evidence(reader: SignedManifest) -> Evidence:
    """Read what lies beside a manifest and speaks for or against it; call it after the manifest."""
    attestations = {role: reader.read_attestations(role) for role in ATTESTING_ROLES}
    return Evidence(reader.read_envelopes("builder"), attestations)


def split_place(place: str) -> tuple[Path, str]:
    """Split ``DEPOT#ID`` into folder and bundle id; the id is empty if none is given.

    Raises:
        UsageError: what follows ``#`` is no bundle id, whole or its first eight digits or more.
    """
    text, mark, bundle = place.rpartition("#")
    if not mark or Path(place).exists():
        return Path(place), ""
    if not _ID.fullmatch(bundle):
        raise UsageError(
            f"{bundle!r} is not a bundle id.", "Give at least its first eight hex digits."
        )
    return Path(text), bundle


def stock_form(place: str) -> Form | None:
    """Return the form of an archive or folder for stock BentoML, or None for anything else."""
    if place == STDIN or elsewhere.is_remote(place):
        return None
    place = elsewhere.local_path(place)
    try:
        return form_of(Path(place))
    except OSError as error:  # a name that is too long, a folder that is closed
        raise storage_error(error, place) from error


def _drain(stream: BinaryIO, limit: int) -> None:
    """Read what nobody needs: closing a pipe early would make its writer fail, and the script."""
    with suppress(OSError):
        while limit > 0 and (piece := stream.read(limits.MIB)):
            limit -= len(piece)


def _readers(place: str, form: Form | None, access: Access) -> list[BundleReader]:
    """Return one reader, or those of all bundles of a depot."""
    if elsewhere.is_remote(place):
        found = elsewhere.look(place, access)
        found.refuse_other_formats(form)
        return _remote_readers(found)
    place = elsewhere.local_path(place)
    if place == STDIN:
        return [ArchiveReader(_standard_input(), "standard input")]
    known = form or stock_form(place)
    if known:
        return [StockReader(_there(Path(place)), known)]
    path, wanted, is_folder = _look_at(place)
    if is_folder:
        there = _chosen(local_depot.list_bundles(path), wanted, str(path))
        return [DepotReader(path, bundle) for bundle in there]
    try:
        return [ArchiveReader(_there(path).open("rb"), str(path), path)]
    except OSError as error:
        raise storage_error(error, path) from error


def _remote_readers(found: RemoteLocation) -> list[BundleReader]:
    """Return the reader of a single file elsewhere, or those of all bundles of a depot there."""
    if found.is_file:
        return [found.open_archive()]
    remote = found.open_depot()
    try:
        there = _chosen(remote.list_bundles(), found.place.bundle, remote.place)
    except BaseException:
        remote.close()
        raise
    return [RemoteDepotReader(remote, bundle) for bundle in there]


def _chosen(bundles: list[str], wanted: str, place: str) -> list[str]:
    """Return the bundles whose id begins with what a person gave: one, or all if that is nothing.

    Raises:
        MissingError: there is none, or there are several.
    """
    there = [bundle for bundle in bundles if bundle.startswith(wanted)]
    if not there or (wanted and len(there) > 1):
        raise MissingError(
            f"{place} holds {len(there)} bundles whose id begins with {wanted}.",
            "`airgap list` shows what each of its bundles holds.",
            there or bundles,
        )
    return there


def _look_at(place: str) -> tuple[Path, str, bool]:
    """Split a place as ``split_place`` does, and tell whether it is a folder."""
    try:
        path, wanted = split_place(place)
        return path, wanted, path.is_dir()
    except OSError as error:  # a name that is too long, a folder that is closed
        raise storage_error(error, place) from error


def _there(path: Path) -> Path:
    """Return the path of a file or folder that is there."""
    if not path.exists():
        raise MissingError(
            f"{path} is not there.", "Check the path, and that the medium is mounted."
        )
    return path


def _check_shape(reader: BundleReader, manifest: Manifest) -> None:
    """Demand that a manifest beside an archive is one for an archive (format §10)."""
    if reader.stock_archive:
        stock.check_manifest(manifest)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:  # closed, as in `airgap import - <&-`
        raise MissingError("There is no standard input.", "Pipe a .airgap file into airgap.")
    if sys.stdin.buffer.isatty():
        raise UsageError("Standard input is a terminal.", "Pipe a .airgap file into airgap.")
    return sys.stdin.buffer


def _read_manifest(reader: BundleReader) -> tuple[str, bytes]:
    """Read the manifest and compare it with the id it travels under (format §11 step 2)."""
    bundle, raw = reader.read_manifest()
    if manifests.bundle_id(raw) != bundle:
        raise CorruptError(
            f"The manifest of {reader.place} was changed or damaged on the way.",
            "Copy the bundle from its source again.",
        )
    return bundle, raw


def _newest(
    place: str,
    readers: list[BundleReader],
    examine: Callable[[BundleReader], T],
    manifest_of: Callable[[T], Manifest],
) -> tuple[T, tuple[str, ...]]:
    """Examine all bundles of a place; return the newest, and a line for each one passed over.

    A bundle that this site's policy refuses is passed over: it may be for another site. Any other
    refusal is final: a bundle that is not trusted must not make an older one look like the newest.
    """

    def rank(one: T) -> tuple[int, int]:
        return manifest_of(one).sequence, manifest_of(one).created_at

    if len(readers) == 1:
        return examine(readers[0]), ()
    newest: T | None = None
    passed_over: list[tuple[BundleReader, PolicyError]] = []
    for reader in readers:
        try:
            one = examine(reader)
            if newest is None or rank(one) > rank(newest):  # the first of two that are alike
                newest = one
        except PolicyError as error:
            passed_over.append((reader, error))
        except AirgapError as error:
            shown = redact(place)
            ids = [f"{shown}#{other.place.rpartition('#')[2]}" for other in readers]
            raise type(error)(
                f"{error.message} It is one of {len(readers)} bundles, so which is the newest"
                " cannot be told.",
                "Name the one you want: DEPOT#ID.",
                ids,
            ) from error
    if newest is None:
        raise passed_over[-1][1]
    return newest, tuple(f"{reader.place}: {error.message}" for reader, error in passed_over)
