"""Which bundles of a depot are served: admitted by this site, whole, and verified once.

What this site does not admit any more is withheld first; then what is new is read, pack by pack,
and served when all of it is what its manifest says.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from airgap.carrier.depot import Depot, DepotBundle
from airgap.errors import AirgapError, CorruptError, NotTrustedError, PolicyError
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle, read_bundles
from airgap.flow.serving.block_reader import BlockReader
from airgap.flow.serving.index import BundleRow, ItemRow, ServingIndex, Withheld
from airgap.flow.serving.readable import ReadableBundle, list_missing, make_readable
from airgap.format import layout, limits
from airgap.format import manifest as manifests
from airgap.format.inventory import Item
from airgap.format.manifest import Manifest, Pack
from airgap.signing.trust import LackingAttestationsError
from airgap.state import manifest_cache
from airgap.store.description_summary import SUMMARIZED, summarize

__all__ = ["Examiner", "Standing", "read_manifest"]

_REVOKED: Final = Withheld("refused", "This bundle is revoked by the site's root.")
_UNREAD: Final = Withheld("unread", "Its packs have not been verified yet.")
_SEALED: Final = Withheld("sealed", "It is sealed: what is inside is not served.")
_COMPLETES: Final = Withheld("sealed", "It only brings chunks to another bundle.")


@dataclass(slots=True)
class Standing:
    """What this site says of the bundles of a depot."""

    refused: dict[str, Withheld] = field(default_factory=dict)
    """Why each one is not served, by its id."""
    whole: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    """Admitted, and in need of chunks of others."""
    lenders: list[str] = field(default_factory=list)
    """Admitted; they only complete others."""
    unread: set[str] = field(default_factory=set)
    """Those of which not all packs were verified."""
    claims: list[tuple[BundleRow, list[ItemRow]]] = field(default_factory=list)
    """What the bundles say of themselves that are new here, and not served yet."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines a depot, and writes into the index what is served of it."""

    depot: Depot
    index: ServingIndex
    reader: BlockReader
    is_interrupted: Callable[[], bool] = lambda: False
    """Asked between packs; then the rest is left for the next time."""

    def admit(self, policy: AdmissionPolicy) -> Standing:
        """Withhold what is not in the depot, not admitted any more, or not verified yet.

        Only manifests and what lies beside them are read.

        Raises:
            StorageError: the index cannot be written.
            TransportError: the depot cannot be read.
        """
        self._withhold_revoked(policy)
        standing = self._admit(policy)
        self.index.forget_absent([*standing.refused, *standing.whole, *standing.differences])
        unread = dict.fromkeys(standing.unread, _UNREAD)
        self.index.note_claims(standing.claims)
        self.index.withhold(unread | standing.refused)
        return standing

    def verify(self, standing: Standing) -> None:
        """Read what was not verified yet, and serve what is whole; raises as ``admit``."""
        served = {row.bundle for row in self.index.list_bundles() if not row.reason}
        packs = set(self.index.list_verified())
        right = [bundle for bundle in standing.lenders if self._verify(bundle, packs) is not None]
        for bundle in standing.whole:
            if bundle in served:
                right.append(bundle)
            elif (manifest := self._verify(bundle, packs)) is not None:
                right.append(bundle)
                self._serve(bundle, manifest)
        differences = standing.differences
        right += [bundle for bundle in differences if self._verify(bundle, packs) is not None]
        for bundle in standing.differences:
            self._serve_difference(bundle, right)

    def _withhold_revoked(self, policy: AdmissionPolicy) -> None:
        """Withhold at once what the root revokes: to examine a whole depot may take a while."""
        revoked = {bundle.hex() for bundle in policy.root.value.revoked_bundles}
        rows = self.index.list_bundles()
        reasons = {row.bundle: _REVOKED for row in rows if row.bundle in revoked}
        self.index.withhold(reasons)

    def _admit(self, policy: AdmissionPolicy) -> Standing:
        standing, verified = Standing(), self.index.list_verified()
        described = {row.bundle for row in self.index.list_bundles() if row.created_at}
        for stored in read_bundles(self.depot):
            if isinstance(stored, DamagedBundle):
                standing.refused[stored.bundle] = Withheld("refused", stored.error.message)
                continue
            try:
                manifest = policy.admit_to_serve(stored.raw, stored.evidence).value
            except (NotTrustedError, PolicyError, CorruptError) as error:
                standing.refused[stored.bundle] = _explain(error)
                if stored.bundle not in described:
                    standing.claims += _read_claims(stored)
                continue
            _sort(stored.bundle, manifest, standing)
            if any(pack.digest.hex() not in verified for pack in manifest.packs):
                standing.unread.add(stored.bundle)
            if stored.bundle not in described:
                standing.claims.append(_make_claims(stored.bundle, manifest))
        return standing

    def _verify(self, bundle: str, verified: set[str]) -> Manifest | None:
        """Read the packs of a bundle that were not verified yet.

        Return its manifest; None if a pack is not right, or was left for the next time.
        """
        try:
            manifest = read_manifest(self.depot, bundle)
            for pack in manifest.packs:
                digest = pack.digest.hex()
                if digest in verified:
                    continue
                if self.is_interrupted():
                    return None
                _verify_pack(self.depot, pack)
                self.index.note_verified([digest])
                verified.add(digest)
        except AirgapError as error:
            self.index.withhold({bundle: Withheld("refused", error.message)})
            return None
        return manifest

    def _serve_difference(self, bundle: str, right: Sequence[str]) -> None:
        """Serve a bundle that needs chunks of others, if they are all there."""
        try:
            manifest = read_manifest(self.depot, bundle)
            bases = self._find_bases(bundle, manifest, right)
        except AirgapError as error:
            self.index.withhold({bundle: Withheld("refused", error.message)})
            return
        self._serve(bundle, manifest, bases)

    def _find_bases(
        self, bundle: str, difference: Manifest, right: Sequence[str]
    ) -> dict[str, Manifest]:
        """Return the bundles that have chunks which this one, or one of those, needs."""
        bases: dict[str, Manifest] = {}
        wanted, fresh = list_missing(difference), True
        while fresh:
            fresh = False
            for other in right:
                if other == bundle or other in bases:
                    continue
                manifest = read_manifest(self.depot, other)
                if not wanted.isdisjoint(_list_carried(manifest)):
                    bases[other], fresh = manifest, True
                    wanted |= list_missing(manifest)
        return bases

    def _serve(
        self, bundle: str, manifest: Manifest, bases: Mapping[str, Manifest] = MappingProxyType({})
    ) -> None:
        """Serve a bundle whose packs were verified, if nothing that it needs is missing."""
        try:
            readable = make_readable(manifest, bases.values())
            items = [self._describe(bundle, readable, item) for item in manifest.items]
        except AirgapError as error:
            self.index.withhold({bundle: Withheld("refused", error.message)})
            return
        row = BundleRow(bundle, manifest.created_at, manifest.expires_at, tuple(bases))
        self.index.replace_bundle(row, items)

    def _describe(self, bundle: str, readable: ReadableBundle, item: Item) -> ItemRow:
        summary = self.index.load_summary(item.digest.hex())
        if summary is None:
            summary = self._summarize(readable, item)
            self.index.note_summary(item.digest.hex(), summary)
        created_at = summary.get("created_at", readable.manifest.created_at)
        name = (item.kind, item.name, item.version)
        return ItemRow(*name, item.digest.hex(), item.size, created_at, bundle, summary)

    def _summarize(self, readable: ReadableBundle, item: Item) -> Mapping[str, Any]:
        """Read the description of an item, if its kind has one that says something."""
        files = [file for file in item.files if file.path == item.rules.description]
        if item.kind not in SUMMARIZED or not files or files[0].size > limits.DESCRIPTION_BYTES:
            return {}
        return summarize(item, b"".join(self.reader.read_file(readable, files[0])))


def read_manifest(depot: Depot, bundle: str) -> Manifest:
    """Read the manifest of a bundle that was admitted: its bytes are those, by their SHA-256.

    Raises:
        MissingError: the bundle was deleted.
        CorruptError: it was changed meanwhile.
        TransportError: the depot cannot be read.
    """
    raw = manifest_cache.load(bundle) if depot.work.caches_manifests else None
    if raw is None:
        _, raw = DepotBundle(depot, bundle).read_manifest()
    if manifests.bundle_id(raw) != bundle:
        raise CorruptError(
            f"The manifest of {depot.location}#{bundle} was changed or damaged.",
            f"Copy {layout.manifest_name(bundle)} from its source again.",
        )
    return manifests.decode(raw)


def _explain(error: AirgapError) -> Withheld:
    waits = isinstance(error, LackingAttestationsError)
    return Withheld("waits" if waits else "refused", error.message)


def _read_claims(stored: StoredBundle) -> Iterator[tuple[BundleRow, list[ItemRow]]]:
    """Yield what a bundle says of itself that is not admitted, if it can be read."""
    with suppress(CorruptError, PolicyError):  # the latter: it needs a newer airgap
        yield _make_claims(stored.bundle, manifests.decode(stored.raw))


def _make_claims(bundle: str, manifest: Manifest) -> tuple[BundleRow, list[ItemRow]]:
    created_at = manifest.created_at
    items = [
        ItemRow(
            *(item.kind, item.name, item.version, item.digest.hex(), item.size, created_at, bundle),
            summary={},
        )
        for item in manifest.items
    ]
    return BundleRow(bundle, created_at, manifest.expires_at, (), *_UNREAD), items


def _sort(bundle: str, manifest: Manifest, standing: Standing) -> None:
    if manifest.sealed is not None:
        standing.refused[bundle] = _SEALED
    elif manifest.completes is not None:
        standing.refused[bundle] = _COMPLETES
        standing.lenders.append(bundle)
    elif manifest.carried < len(manifest.chunks):
        standing.differences.append(bundle)
    else:
        standing.whole.append(bundle)


def _list_carried(manifest: Manifest) -> Iterable[bytes]:
    return map(manifest.chunks.digest, range(manifest.carried))


def _verify_pack(depot: Depot, pack: Pack) -> None:
    """Read a pack, and compare it with its digest.

    Raises:
        MissingError, CorruptError: it is not there, or is another.
        TransportError: it cannot be read.
    """
    digest, name = hashlib.sha256(), layout.pack_name(pack.digest)
    size = depot.transport.get(name, digest.update, 0, pack.size + 1)
    if size != pack.size or digest.digest() != pack.digest:
        raise CorruptError(
            f"{depot.location}/{name} is damaged: {size:,} of {pack.size:,} bytes were read, and"
            " their SHA-256 is not its name.",
            "Copy it from its source again.",
        )
