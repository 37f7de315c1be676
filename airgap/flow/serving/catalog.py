"""What people see of a mirror's depot: each bundle with its standing, content and signatures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from airgap.errors import AirgapError, MissingError
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.chunks.chunk_sources import BaseBundle
from airgap.flow.chunks.diff import describe_difference
from airgap.flow.depot.open_depot import StoredBundle
from airgap.flow.describe.bundle import describe_claimed, describe_claims
from airgap.flow.serving.index import BundleRow, ItemRow, Status
from airgap.flow.serving.mirror import Mirror
from airgap.format import manifest as manifests
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.signing.signer_lines import find_command
from airgap.signing.thresholds import DemandCount
from airgap.signing.trust import LackingAttestationsError

__all__ = [
    "STATUSES",
    "BundlePage",
    "BundleView",
    "Catalog",
    "CountedDemand",
    "ManifestFacts",
    "Signatures",
    "Survey",
]

STATUSES: Final[Mapping[str, Sequence[Status]]] = {
    "all": ("served", "unread", "waits", "refused", "sealed"),
    "served": ("served",),
    "waits": ("unread", "waits"),
    "refused": ("refused", "sealed"),
}
"""What people ask for, and the statuses that it stands for."""
_ROWS: Final = 25
_LEAST_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class CountedDemand:
    """An attestation that the root demands, or that a bundle merely has; by key ids.

    ``others`` could still sign. ``command`` is what they would run, with SRC for the bundle.
    """

    role: str
    name: str
    threshold: int
    signed: Sequence[str]
    others: Sequence[str]
    command: str

    @property
    def missing(self) -> int:
        """How many keys have still to sign."""
        return max(self.threshold - len(self.signed), 0)


@dataclass(frozen=True, slots=True)
class Signatures:
    """Who signed a bundle, by key ids.

    They were counted by the root, or, where nothing could be counted, are only claimed.
    """

    builders: Sequence[str] = ()
    requirements: Sequence[CountedDemand] = ()
    are_counted: bool = False


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle as people see it. Of one that is damaged, ``facts`` and the manifest are None.

    In a list, the manifest is left out: it may have 100,000 files.
    """

    row: BundleRow
    items: Sequence[ItemRow]
    has_expired: bool
    facts: "ManifestFacts | None" = None
    manifest: Manifest | None = None
    signatures: Signatures = field(default_factory=Signatures)
    claims: Sequence[Mapping[str, Any]] = ()
    """What lies beside the manifest, as it claims to be (``describe_claims``)."""
    attachments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What lists show of a manifest. Sizes in bytes: of the items, and of the packs."""

    channel: str
    sequence: int | None
    size: int
    stored_size: int


@dataclass(frozen=True, slots=True)
class BundlePage:
    """Some bundles, the newest first, of ``count`` that fit; ``first`` is the number of the first.

    ``size`` is how many a page has at most.
    """

    bundles: Sequence[BundleView]
    count: int
    first: int
    size: int = _ROWS


@dataclass(frozen=True, slots=True)
class Survey:
    """A depot in numbers. ``size`` is the bytes of what is served, as clients get it."""

    statuses: Mapping[Status, int]
    items: int
    size: int


class Catalog:
    """Reads what people see. Threads may ask at once; nothing is written."""

    def __init__(self, mirror: Mirror) -> None:
        """Take the mirror whose depot and index it reads."""
        self._mirror, self._index = mirror, mirror.index

    def survey(self) -> Survey:
        """Count what there is."""
        items, size = self._index.count_served(self._mirror.tell_time())
        return Survey(self._index.count_bundles(), items, size)

    def list_page(self, words: str = "", what: str = "all", first: int = 0) -> BundlePage:
        """Return a page of the bundles of which an item or the id has these words.

        Raises:
            TransportError: the depot cannot be read.
        """
        return self._read_page(words.strip(), STATUSES[what], first)

    def list_waiting(self) -> BundlePage:
        """Return the newest bundles that lack attestations; raises as ``list_page``."""
        return self._read_page("", ("waits",), 0)

    def _read_page(self, words: str, statuses: Sequence[Status], first: int) -> BundlePage:
        rows, count = self._index.list_page(words, statuses, first, _ROWS)
        admission = _load_policy()
        views = [replace(self._view(row, admission), manifest=None, claims=()) for row in rows]
        return BundlePage(views, count, first)

    def find(self, beginning: str) -> BundleView:
        """Return the bundle whose id begins so, with at least eight digits.

        Raises:
            MissingError: there is none, or more than one.
            TransportError: the depot cannot be read.
        """
        rows = self._index.find_bundles(beginning) if len(beginning) >= _LEAST_DIGITS else []
        if len(rows) != 1:
            raise MissingError(
                f"{len(rows) or 'No'} bundles of {self._mirror.location} have ids that begin with"
                f" {beginning!r}.",
                "Look at the list of bundles.",
            )
        return self._view(rows[0], _load_policy())

    def compare(self, old: BundleView, new: BundleView) -> dict[str, Any]:
        """Say what one bundle has that another has not (``describe_difference``).

        Raises:
            MissingError: a manifest cannot be read.
        """
        return describe_difference(*(BaseBundle(_require_manifest(one)) for one in (old, new)))

    def _view(self, row: BundleRow, admission: AdmissionPolicy | None) -> BundleView:
        items = self._index.list_contents(row.bundle)
        has_expired = row.expires_at is not None and row.expires_at < self._mirror.tell_time()
        try:
            stored = self._mirror.read_bundle(row.bundle)
            if not isinstance(stored, StoredBundle):
                return BundleView(row, items, has_expired)
            manifest = manifests.decode(stored.raw)
        except AirgapError as error:
            if error.kind == "transport":
                raise
            return BundleView(row, items, has_expired)
        return BundleView(
            row,
            items,
            has_expired,
            ManifestFacts(manifest.channel, manifest.sequence, manifest.size, manifest.stored_size),
            manifest,
            _read_signatures(stored, admission),
            describe_claims(stored.evidence),
            stored.attachments,
        )


def _load_policy() -> AdmissionPolicy | None:
    """Return how bundles are judged; None if nothing is served at present."""
    try:
        return policy.load()
    except AirgapError:
        return None


def _read_signatures(stored: StoredBundle, admission: AdmissionPolicy | None) -> Signatures:
    if admission is not None:
        root = admission.root.value
        try:
            admitted = admission.admit_to_serve(stored.raw, stored.evidence)
        except LackingAttestationsError as error:
            return _count_signatures(error.builders, error.counts, root)
        except AirgapError:
            pass
        else:
            return _count_signatures(admitted.signers["builder"], admitted.counts, root)
    return Signatures(describe_claimed(stored.bundle, stored.evidence)["signed_by"])


def _count_signatures(
    builders: Sequence[str], counts: Sequence[DemandCount], root: Root
) -> Signatures:
    requirements = [
        CountedDemand(
            *(count.demand.role, count.demand.name, count.demand.threshold, count.key_ids),
            [key for key in root.signers(count.demand.role) if key not in count.key_ids],
            find_command(count.demand).strip("`"),
        )
        for count in counts
    ]
    return Signatures(builders, requirements, are_counted=True)


def _require_manifest(view: BundleView) -> Manifest:
    if view.manifest is None:
        raise MissingError(
            f"The manifest of bundle {view.row.bundle} cannot be read.", "Copy it from its source."
        )
    return view.manifest
