"""Lists what a depot holds, newest first, for ``list`` and ``get``."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from airgap.carrier.depot import Depot
from airgap.carrier.local_depot import suggest_folder
from airgap.errors import (
    AirgapError,
    ConfigurationError,
    CorruptError,
    MissingError,
    NotTrustedError,
    PolicyError,
)
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle.tag import Tag, parse_tag
from airgap.flow.bundle.unseal import check_inner
from airgap.flow.depot import open_depot
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle
from airgap.flow.describe.bundle import (
    describe_bundle,
    describe_claimed,
    describe_counted,
    describe_sealing,
)
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.format import manifest as manifests
from airgap.format.kinds import BENTO
from airgap.format.newest import Age, choose_newest, newest_first, read_age
from airgap.format.sealed import may_be_sealed
from airgap.sealing.identity_files import read_identities

__all__ = ["Listing", "find_in", "list_depot"]

Standing = Literal["trusted", "sealed", "not trusted", "not acceptable", "damaged", "not verified"]


@dataclass(frozen=True, slots=True)
class Listing:
    """The bundles of a depot as ``--json`` has them, newest first; and why none was verified."""

    bundles: list[dict[str, Any]]
    why_not_verified: str = ""
    ages: Mapping[str, Age] = field(default_factory=dict)
    """How old each bundle is that is not damaged, by its id."""
    unopened: int = 0
    """How many bundles are sealed, and were not opened."""


def list_depot(
    location: DepotLocation,
    connector: Connector = LOCAL,
    tag: Tag | None = None,
    identities: Sequence[str] = (),
) -> Listing:
    """List the bundles of a depot, or those that have ``tag``.

    Each says whether this machine would import it. None is verified if no root is pinned, or if the
    import history is damaged. The ``identities``, files or descriptors as ``fd:N``, open sealed
    ones; of another sealed one, what its index says is listed.

    Raises:
        ConfigurationError, StorageError: an identity cannot be used.
        MissingError: the depot holds no bundles.
        TransportError: the depot cannot be read.
    """
    admission, why = _load_policy()
    if admission:
        admission = replace(admission, identities=read_identities(identities))
    rows: dict[str, dict[str, Any]] = {}
    ages: dict[str, Age] = {}
    count = 0
    with open_depot.open_depot(location, connector) as depot:
        lister = _Lister(depot, admission, tag)
        for bundle in open_depot.read_bundles(depot, location.bundle):
            count += 1
            row = lister.describe(bundle)
            if row:
                rows[bundle.bundle] = row[1]
                ages |= {bundle.bundle: row[0]} if row[0] else {}
    if not count:
        raise _make_empty_error(location, tag)
    order = [age.bundle for age in newest_first(ages.values(), lambda age: age)]
    order += sorted(rows.keys() - ages.keys())  # the damaged ones
    return Listing([rows[bundle] for bundle in order], why, ages, lister.unopened)


def _make_empty_error(location: DepotLocation, tag: Tag | None) -> MissingError:
    """Say that a depot is empty or not there; a person may have named an item instead."""
    if not isinstance(location, LocalDepot) or location.path.exists():
        hint = "Check the path, or push one with `airgap push`."
        if isinstance(location, LocalDepot):
            hint = suggest_folder(location.path, hint)
        return MissingError(f"{location} holds no bundles.", hint)
    hint = "Check the path, and that the medium is mounted."
    with suppress(AirgapError):
        text = str(location.path)
        if tag is None:
            parse_tag(text, BENTO.name)
            hint = (
                f"To see an item: `airgap get {text}` here, `airgap get {text} DEPOT` in a depot."
            )
    return MissingError(f"There is no depot at {location.path}.", hint)


def find_in(
    location: DepotLocation,
    tag: Tag,
    connector: Connector = LOCAL,
    identities: Sequence[str] = (),
) -> tuple[dict[str, Any], Listing]:
    """Return the newest bundle of a depot that has ``tag``, and all that have it.

    A bundle that this machine would import comes first.

    Raises:
        MissingError: no bundle has it.
        TransportError: the depot cannot be read.
    """
    listing = list_depot(location, connector, tag, identities)
    if not listing.bundles:
        raise open_depot.make_not_found(location, str(tag), listing.unopened)
    trusted = [bundle for bundle in listing.bundles if bundle["standing"] == "trusted"]
    newest = choose_newest(trusted, lambda bundle: listing.ages[bundle["bundle"]])
    return newest or listing.bundles[0], listing


def _load_policy() -> tuple[AdmissionPolicy | None, str]:
    try:
        return policy.load(), ""
    except AirgapError as error:
        return None, error.message


@dataclass(slots=True)
class _Lister:
    """Describes the bundles of a depot, one after the other."""

    depot: Depot
    admission: AdmissionPolicy | None
    tag: Tag | None
    unopened: int = 0
    """How many were sealed, and were not opened."""

    def describe(
        self, bundle: StoredBundle | DamagedBundle
    ) -> tuple[Age | None, dict[str, Any]] | None:
        """Describe a bundle, and how old it is; None if it does not have the tag."""
        if isinstance(bundle, StoredBundle) and may_be_sealed(bundle.raw):
            bundle = self._open(bundle)
        if isinstance(bundle, DamagedBundle):
            return self._describe_damaged(bundle.bundle, bundle.error)
        if self.tag is not None and not self.tag.may_be_in(bundle.raw):
            return None
        return self._describe(bundle)

    def _describe(self, bundle: StoredBundle) -> tuple[Age | None, dict[str, Any]] | None:
        standing = _read_standing(bundle, self.admission)
        try:
            manifest = manifests.decode(bundle.raw)
            if bundle.index:
                check_inner(f"{self.depot.location}#{bundle.bundle}", bundle.index, manifest)
        except AirgapError as error:
            return self._describe_damaged(bundle.bundle, error)
        if self.tag is not None and not self.tag.is_in(manifest):
            return None
        data = describe_bundle(bundle.bundle, manifest) | standing
        if bundle.index:
            inner = manifests.bundle_id(bundle.raw)
            data |= describe_sealing(bundle.bundle, bundle.index, inner)
        elif manifest.sealed is not None and standing["trusted"]:
            data |= _describe_standing("sealed")
        data["attachments"] = list(bundle.attachments)
        return read_age(bundle.bundle, manifest), data

    def _open(self, bundle: StoredBundle) -> StoredBundle | DamagedBundle:
        """Return what is inside a sealed bundle; itself, if its index is not admitted, or not here.

        Nothing is decrypted before the index is admitted (format §34.5).
        """
        try:
            index = manifests.decode(bundle.raw)
            if index.sealed is None:
                return bundle
            self.unopened += 1
            if self.admission is None or not self.admission.identities:
                return bundle
            self.admission.admit(bundle.raw, bundle.evidence)
            inside = open_depot.unseal_stored(self.depot, bundle, index, self.admission.identities)
        except CorruptError as error:
            return DamagedBundle(bundle.bundle, error)
        except (ConfigurationError, NotTrustedError, PolicyError):
            return bundle
        self.unopened -= 1
        return inside

    def _describe_damaged(
        self, bundle: str, error: AirgapError
    ) -> tuple[None, dict[str, Any]] | None:
        if self.tag:
            return None
        return None, {"bundle": bundle, **_describe_standing("damaged", error)}


def _read_standing(bundle: StoredBundle, admission: AdmissionPolicy | None) -> dict[str, Any]:
    """Say who signed a bundle, role by role, and whether this machine would import it.

    Of an admitted bundle these are the keys that the root counts, else those that the signatures
    claim.
    """
    claimed = describe_claimed(manifests.bundle_id(bundle.raw), bundle.evidence)
    if admission is None:
        return claimed | _describe_standing("not verified")
    try:
        admitted = admission.admit(bundle.raw, bundle.evidence)
    except AirgapError as error:
        is_policy = error.kind in ("policy", "conflict")
        return claimed | _describe_standing("not acceptable" if is_policy else "not trusted", error)
    return describe_counted(admitted.manifest) | _describe_standing("trusted")


def _describe_standing(standing: Standing, error: AirgapError | None = None) -> dict[str, Any]:
    trusted = {"trusted": True, "not verified": None, "sealed": None}.get(standing, False)
    return {"trusted": trusted, "standing": standing, "reason": error.message if error else ""}
