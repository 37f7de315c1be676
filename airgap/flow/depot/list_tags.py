"""Lists what a depot holds, newest first, for ``list`` and ``get``."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from airgap.errors import AirgapError, MissingError
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle.tag import Tag, parse_tag
from airgap.flow.depot import open_depot
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle
from airgap.flow.describe.bundle import describe_bundle, describe_claimed, describe_counted
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import DepotLocation, LocalDepot
from airgap.format import manifest as manifests
from airgap.format.kinds import BENTO
from airgap.format.newest import Age, choose_newest, newest_first, read_age

__all__ = ["Listing", "find_in", "list_depot"]

Standing = Literal["trusted", "not trusted", "not acceptable", "damaged", "not verified"]


@dataclass(frozen=True, slots=True)
class Listing:
    """The bundles of a depot as ``--json`` has them, newest first; and why none was verified."""

    bundles: list[dict[str, Any]]
    why_not_verified: str = ""
    ages: Mapping[str, Age] = field(default_factory=dict)
    """How old each bundle is that is not damaged, by its id."""


def list_depot(
    location: DepotLocation, connector: Connector = LOCAL, tag: Tag | None = None
) -> Listing:
    """List the bundles of a depot, or those that have ``tag``.

    Each says whether this machine would import it. None is verified if no root is pinned, or if the
    import history is damaged.

    Raises:
        MissingError: the depot holds no bundles.
        TransportError: the depot cannot be read.
    """
    admission, why = _load_policy()
    rows: dict[str, dict[str, Any]] = {}
    ages: dict[str, Age] = {}
    count = 0
    with open_depot.open_depot(location, connector) as depot:
        for bundle in open_depot.read_bundles(depot, location.bundle):
            count += 1
            row = _describe(bundle, admission, tag)
            if row:
                rows[bundle.bundle] = row[1]
                ages |= {bundle.bundle: row[0]} if row[0] else {}
    if not count:
        raise _make_empty_error(location, tag)
    order = [age.bundle for age in newest_first(ages.values(), lambda age: age)]
    order += sorted(rows.keys() - ages.keys())  # the damaged ones
    return Listing([rows[bundle] for bundle in order], why, ages)


def _make_empty_error(location: DepotLocation, tag: Tag | None) -> MissingError:
    """Say that a depot is empty or not there; a person may have named an item instead."""
    if not isinstance(location, LocalDepot) or location.path.exists():
        return MissingError(
            f"{location} holds no bundles.", "Check the path, or push one with `airgap push`."
        )
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
    location: DepotLocation, tag: Tag, connector: Connector = LOCAL
) -> tuple[dict[str, Any], Listing]:
    """Return the newest bundle of a depot that has ``tag``, and all that have it.

    A bundle that this machine would import comes first.

    Raises:
        MissingError: no bundle has it.
        TransportError: the depot cannot be read.
    """
    listing = list_depot(location, connector, tag)
    if not listing.bundles:
        raise open_depot.make_not_found(location, str(tag))
    trusted = [bundle for bundle in listing.bundles if bundle["standing"] == "trusted"]
    newest = choose_newest(trusted, lambda bundle: listing.ages[bundle["bundle"]])
    return newest or listing.bundles[0], listing


def _load_policy() -> tuple[AdmissionPolicy | None, str]:
    try:
        return policy.load(), ""
    except AirgapError as error:
        return None, error.message


def _describe(
    bundle: StoredBundle | DamagedBundle, admission: AdmissionPolicy | None, tag: Tag | None
) -> tuple[Age | None, dict[str, Any]] | None:
    """Describe a bundle, and how old it is; None if it does not have the tag."""
    if isinstance(bundle, DamagedBundle):
        return None if tag else _describe_damaged(bundle.bundle, bundle.error)
    if tag is not None and not tag.may_be_in(bundle.raw):
        return None
    standing = _read_standing(bundle, admission)
    try:
        manifest = manifests.decode(bundle.raw)
    except AirgapError as error:
        return None if tag else _describe_damaged(bundle.bundle, error)
    if tag is not None and not tag.is_in(manifest):
        return None
    data = describe_bundle(bundle.bundle, manifest) | standing
    data["attachments"] = list(bundle.attachments)
    return read_age(bundle.bundle, manifest), data


def _describe_damaged(bundle: str, error: AirgapError) -> tuple[None, dict[str, Any]]:
    return None, {"bundle": bundle, **_describe_standing("damaged", error)}


def _read_standing(bundle: StoredBundle, admission: AdmissionPolicy | None) -> dict[str, Any]:
    """Say who signed a bundle, role by role, and whether this machine would import it.

    Of an admitted bundle these are the keys that the root counts, else those that the signatures
    claim.
    """
    claimed = describe_claimed(bundle.bundle, bundle.evidence)
    if admission is None:
        return claimed | _describe_standing("not verified")
    try:
        admitted = admission.admit(bundle.raw, bundle.evidence)
    except AirgapError as error:
        is_policy = error.kind in ("policy", "conflict")
        return claimed | _describe_standing("not acceptable" if is_policy else "not trusted", error)
    return describe_counted(admitted.manifest) | _describe_standing("trusted")


def _describe_standing(standing: Standing, error: AirgapError | None = None) -> dict[str, Any]:
    trusted = {"trusted": True, "not verified": None}.get(standing, False)
    return {"trusted": trusted, "standing": standing, "reason": error.message if error else ""}
