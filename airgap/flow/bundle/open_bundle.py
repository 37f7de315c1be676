"""From what a person calls a bundle to an open, admitted one."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO, TypeAlias, TypeVar

from airgap.carrier.port import BundleReader, PackSource, SignedManifest
from airgap.errors import (
    AirgapError,
    CorruptError,
    MissingError,
    NotTrustedError,
    PolicyError,
)
from airgap.flow.admission.policy import Admission, AdmissionPolicy, require_root
from airgap.flow.bundle.unseal import check_inner, check_recipients, unseal
from airgap.flow.chunks.chunk_sources import ChunkSources
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import Location, StandardInput
from airgap.flow.location.readers import open_readers
from airgap.format import layout, limits, names
from airgap.format import manifest as manifests
from airgap.format import stock_archive as stock
from airgap.format.attestation import ATTESTING_ROLES
from airgap.format.kinds import Kind
from airgap.format.manifest import Manifest
from airgap.format.newest import Age, choose_newest, read_age
from airgap.format.root import Root
from airgap.ledger.replay import OlderError
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified

__all__ = [
    "CompletesError",
    "EarlierBundle",
    "Opened",
    "Refused",
    "Unverified",
    "demand_bundle",
    "look_into",
    "open_all",
    "open_bundle",
    "open_unverified",
    "read_evidence",
    "read_manifest",
    "require_root",
]

T = TypeVar("T")

Refused: TypeAlias = tuple[str, AirgapError]
"""The location of a bundle, and why it is not admitted."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """A bundle whose manifest was read and decoded, and nothing more."""

    reader: BundleReader
    bundle: str
    manifest: Manifest
    raw: bytes


@dataclass(frozen=True, slots=True)
class EarlierBundle:
    """An admitted bundle of a depot. Its manifest, which may be large, is not kept."""

    location: str
    channel: str
    sequence: int
    items: tuple[tuple[Kind, str, str], ...]
    """Kind, name and version of each."""


def describe_earlier(location: str, manifest: Manifest) -> EarlierBundle:
    """Keep of an admitted bundle what decides the order of imports."""
    items = tuple((item.kind, item.name, item.version) for item in manifest.items)
    return EarlierBundle(location, manifest.channel, manifest.sequence, items)


def select_earlier(
    bundles: Iterable[EarlierBundle], chosen: EarlierBundle, last: int
) -> tuple[EarlierBundle, ...]:
    """Return those that can be imported now and not after ``chosen``, by their number.

    ``last`` is the highest number of the channel that was imported (format §17.1).
    """
    earlier = [
        other
        for other in bundles
        if other.channel == chosen.channel and last < other.sequence < chosen.sequence
    ]
    return tuple(sorted(earlier, key=lambda other: other.sequence))


@dataclass(frozen=True, slots=True)
class Opened:
    """An admitted bundle: nothing but its manifest and envelopes has been read."""

    reader: BundleReader
    packs: PackSource
    bundle: str
    policy: AdmissionPolicy
    admission: Admission
    evidence: Evidence
    """What was read of signatures and attestations, counted or not."""
    passed_over: tuple[str, ...] = ()
    """Other bundles of the place that this site's policy refuses, each with the reason."""
    not_older: tuple[str, ...] = ()
    """Those of ``passed_over`` that are refused for another reason than an old number."""
    earlier: tuple[EarlierBundle, ...] = ()
    """Bundles of the channel in the same depot that were not imported here, by their number."""
    chunk_sources: ChunkSources = field(default_factory=ChunkSources)
    """Where chunks are found that the bundle needs and does not carry (format §4.2)."""
    only: frozenset[tuple[int, str, str]] | None = None
    """The keys of the items that are wanted; None: all."""
    index: str = ""
    """If the bundle was inside a sealed one: the bundle id of that (format §34)."""

    @property
    def manifest(self) -> Verified[Manifest]:
        """The manifest, admitted."""
        return self.admission.manifest

    @property
    def root(self) -> Verified[Root]:
        """The root by which it was admitted."""
        return self.policy.root

    def with_refused(self, refused: Iterable[Refused]) -> "Opened":
        """Take what was refused of the other bundles."""
        lines = [
            (f"{location}: {error.message}", isinstance(error, OlderError))
            for location, error in refused
        ]
        return replace(
            self,
            passed_over=tuple(line for line, _ in lines),
            not_older=tuple(line for line, is_older in lines if not is_older),
        )


class CompletesError(MissingError):
    """A bundle only completes another one, the bundle ``completed`` (format §22)."""

    def __init__(self, message: str, hint: str, completed: str) -> None:
        """Keep the other bundle's id beside the message."""
        super().__init__(message, hint)
        self.completed = completed


@contextmanager
def open_bundle(
    location: Location,
    admission: AdmissionPolicy,
    *,
    remember: bool = False,
    parts: bool = False,
    connector: Connector = LOCAL,
) -> Iterator[Opened]:
    """Open a bundle and admit it (format §7.5, §11 steps 1 to 3).

    Of a depot it is the newest bundle that is for this site, unless the location names one.
    ``remember`` puts a refusal into the ledger. ``parts`` opens also a bundle that only completes
    another (format §22): to look at it, never to install it.

    Raises:
        MissingError: there is no bundle, or it is not the one that the location names.
        CompletesError: it is not to be installed by itself, and ``parts`` is not set.
        NotTrustedError, PolicyError, CorruptError: it is not admitted.
        TransportError: it cannot be reached.
    """
    examine = _Examination(admission, location, parts)
    readers = open_readers(location, connector)
    try:
        try:
            opened, refused = _newest(
                readers, examine, lambda opened: read_age(opened.bundle, opened.manifest.value)
            )
        except AirgapError as error:
            raise (examine.remembered(error) if remember else error) from error.__cause__
        yield replace(opened.with_refused(refused), earlier=examine.find_earlier(opened))
        if isinstance(location, StandardInput):
            _drain(sys.stdin.buffer, opened.manifest.value.stored_size + limits.PADDING_BYTES)
    finally:
        for reader in readers:
            reader.close()


@dataclass(slots=True)
class _Examination:
    """Examines bundles, and knows the last one that was refused for what its builders signed."""

    policy: AdmissionPolicy
    location: Location
    parts: bool = False
    refused: tuple[AirgapError, bytes, Evidence] | None = None
    admitted: list[EarlierBundle] = field(default_factory=list)

    def __call__(self, reader: BundleReader) -> Opened:
        """Admit one bundle; of a sealed one, the index and then what is inside."""
        bundle, raw = read_manifest(reader, self.location)
        admission, evidence = self._admit(reader, raw)
        index, outer = admission.manifest.value, ""
        if index.sealed is not None and not self.policy.stays_sealed:
            reader, outer = unseal(reader, index, self.policy.identities), bundle
            bundle, raw = reader.read_manifest()
            admission, evidence = self._admit(reader, raw)
            check_inner(reader.location, index, admission.manifest.value)
        elif index.sealed is not None:
            check_recipients(reader.location, index.sealed)
        manifest = admission.manifest.value
        _check_shape(reader, manifest)
        if not self.parts:
            _refuse_part(reader, manifest)
        if manifest.completes is None:
            self.admitted.append(describe_earlier(reader.location, manifest))
        return Opened(reader, reader.packs, bundle, self.policy, admission, evidence, index=outer)

    def _admit(self, reader: BundleReader, raw: bytes) -> tuple[Admission, Evidence]:
        evidence = read_evidence(reader)
        try:
            return self.policy.admit(raw, evidence), evidence
        except (PolicyError, NotTrustedError) as error:
            self.refused = error, raw, evidence
            raise

    def find_earlier(self, opened: Opened) -> tuple[EarlierBundle, ...]:
        """Return the bundles that cannot be imported any more after this one (format §17.1)."""
        chosen = describe_earlier("", opened.manifest.value)
        last = self.policy.state.last_sequence(chosen.channel)
        return select_earlier(self.admitted, chosen, last)

    def remembered(self, error: AirgapError) -> AirgapError:
        """Note in the ledger that this ended an import, if it was about the last one refused."""
        if self.refused is None or self.refused[0] not in (error, error.__cause__):
            return error
        return self.policy.record_refusal(self.refused[1], self.refused[2].envelopes, error)


@contextmanager
def open_unverified(location: Location, connector: Connector = LOCAL) -> Iterator[Unverified]:
    """Open a bundle to look at it. Nothing about it is proven.

    Raises:
        MissingError: there is no bundle, or it is not the one that the location names.
        CorruptError: it is not a bundle, or is damaged.
        TransportError: it cannot be reached.
    """
    readers = open_readers(location, connector)
    try:
        look = partial(look_into, location=location)
        opened, _ = _newest(readers, look, lambda seen: read_age(seen.bundle, seen.manifest))
        yield opened
    finally:
        for reader in readers:
            reader.close()


@contextmanager
def open_all(
    location: Location, connector: Connector = LOCAL
) -> Iterator[tuple[int, Iterator[Unverified]]]:
    """Tell how many bundles there are, and open one after the other; nothing is proven.

    Raises:
        MissingError: there is none, or not the one that the location names.
        CorruptError: one is not a bundle, or is damaged.
        TransportError: it cannot be reached.
    """
    readers = open_readers(location, connector)
    try:
        yield len(readers), map(partial(look_into, location=location), readers)
    finally:
        for reader in readers:
            reader.close()


def look_into(reader: BundleReader, location: Location) -> Unverified:
    """Read and decode a manifest, and nothing more; raises as ``open_unverified``."""
    bundle, raw = read_manifest(reader, location)
    manifest = manifests.decode(raw)
    _check_shape(reader, manifest)
    return Unverified(reader, bundle, manifest, raw)


def read_evidence(reader: SignedManifest) -> Evidence:
    """Read what lies beside a manifest and speaks for or against it; call it after the manifest."""
    attestations = {role: reader.read_attestations(role) for role in ATTESTING_ROLES}
    return Evidence(reader.read_envelopes("builder"), attestations)


def _drain(stream: BinaryIO, limit: int) -> None:
    """Read what nobody needs: closing a pipe early would make its writer fail, and the script."""
    with suppress(OSError):
        while limit > 0 and (piece := stream.read(limits.MIB)):
            limit -= len(piece)


def _refuse_part(reader: BundleReader, manifest: Manifest) -> None:
    """Refuse a bundle that completes another: its import would not have the other's number."""
    if manifest.completes is not None:
        completed = manifest.completes.hex()
        raise CompletesError(
            f"{reader.location} completes bundle {completed}, and is installed only with that one.",
            "Import that bundle, and name this one with --depot.",
            completed,
        )


def _check_shape(reader: BundleReader, manifest: Manifest) -> None:
    """Demand that a manifest beside an archive is one for an archive (format §10)."""
    if reader.stock_archive:
        stock.check_manifest(manifest)


def read_manifest(reader: BundleReader, location: Location) -> tuple[str, bytes]:
    """Read the manifest; compare it with the id it travels under and with the one that was named.

    Raises:
        NotTrustedError: an archive for stock BentoML has no manifest beside it.
        CorruptError: it is another manifest than the id says (format §11 step 2).
        MissingError: it is another bundle than the location names.
    """
    bundle, raw = reader.read_manifest()
    if manifests.bundle_id(raw) != bundle:
        raise CorruptError(
            f"The manifest of {reader.location} was changed or damaged on the way.",
            f"Copy {_name_manifest(reader.location)} from its source again.",
        )
    demand_bundle(bundle, location, reader.location)
    return bundle, raw


def _name_manifest(location: str) -> str:
    """Return the file in a depot that has the manifest; what is not a depot is copied whole."""
    bundle = location.rpartition("#")[2]
    return layout.manifest_name(bundle) if names.is_bundle_id(bundle) else "the bundle"


def demand_bundle(bundle: str, location: Location, name: str) -> None:
    """Demand that a bundle is the one that its location names, if it names one.

    Raises:
        MissingError: it is another.
    """
    if not bundle.startswith(location.bundle):
        raise MissingError(
            f"{name} is bundle {bundle}, not {location.bundle}.",
            "Give the bundle that has this id, or leave out # and the id.",
        )


def _find_remedy(reader: BundleReader, error: AirgapError) -> str:
    """Say what to do about one bundle of a depot; of one without signatures, that they are lost."""
    if isinstance(error, NotTrustedError) and not reader.read_envelopes("builder"):
        bundle = reader.location.rpartition("#")[2]
        return f"Copy the files bundles/{bundle}/*.dsse from its source again."
    return error.hint


def _newest(
    readers: list[BundleReader],
    examine: Callable[[BundleReader], T],
    age_of: Callable[[T], Age],
) -> tuple[T, list[Refused]]:
    """Examine all bundles of a place; return the newest, and the error of each one passed over.

    A bundle that this site's policy refuses is passed over: it may be for another site. Any other
    refusal is final: a bundle that is not trusted must not make an older one look like the newest.
    """
    if len(readers) == 1:
        return examine(readers[0]), []
    passed_over: list[Refused] = []

    def candidates() -> Iterator[T]:
        for reader in readers:
            try:
                yield examine(reader)
            except (PolicyError, CompletesError) as error:
                passed_over.append((reader.location, error))
            except AirgapError as error:
                raise error.reword(
                    f"{error.message} It is one of {len(readers)} bundles, so which is the newest"
                    " cannot be told.",
                    f"{_find_remedy(reader, error)} Or name the bundle that you want: DEPOT#ID.",
                    [other.location for other in readers],
                ) from error

    newest = choose_newest(candidates(), age_of)
    if newest is None:
        raise passed_over[-1][1]
    return newest, passed_over
