"""What a depot or this machine's stores hold, newest first: for ``list`` and ``get``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from airgap.errors import AirgapError, MissingError
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle.tag import Tag
from airgap.flow.depot import open_depot
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle
from airgap.flow.describe.bundle import describe_bundle, describe_claims
from airgap.flow.describe.times import format_time
from airgap.flow.location.connector import LOCAL, Connector
from airgap.flow.location.location import DepotLocation
from airgap.format import manifest as manifests
from airgap.store.item_kind import ItemKind
from airgap.store.kinds import find_kind, list_kinds
from airgap.store.source_tree import scan

__all__ = ["Listing", "find_in", "get_stored", "list_depot", "list_stores"]

Standing = Literal["trusted", "not trusted", "not acceptable", "damaged", "not verified"]


@dataclass(frozen=True, slots=True)
class Listing:
    """The bundles of a depot as ``--json`` has them, newest first; and why none was verified."""

    bundles: list[dict[str, Any]]
    why_not_verified: str = ""


def list_depot(
    location: DepotLocation, connector: Connector = LOCAL, tag: Tag | None = None
) -> Listing:
    """List the bundles of a depot, or those that have ``tag``.

    Each says whether this machine would import it. Where it trusts nobody, or what it remembers is
    not whole, none is verified.

    Raises:
        MissingError: there is no bundle at all.
        TransportError: the depot cannot be read.
    """
    judged, why = _judge()
    rows: list[tuple[tuple[int, int, str], dict[str, Any]]] = []
    count = 0
    with open_depot.open_depot(location, connector) as depot:
        for found in open_depot.read_bundles(depot, location.bundle):
            count += 1
            row = _row(found, judged, tag)
            if row:
                rows.append(row)
    if not count:
        raise MissingError(
            f"{depot.location} holds no bundle.",
            "Check the path, or put one there with `airgap push`.",
        )
    return Listing([one for _, one in sorted(rows, key=lambda row: row[0])], why)


def find_in(
    location: DepotLocation, tag: Tag, connector: Connector = LOCAL
) -> tuple[dict[str, Any], Listing]:
    """Return the newest bundle of a depot that has ``tag``, and all that have it.

    One that this machine would import comes before those that it would not.

    Raises:
        MissingError: none has it.
        TransportError: the depot cannot be read.
    """
    listing = list_depot(location, connector, tag)
    if not listing.bundles:
        raise open_depot.make_not_found(location, str(tag))
    trusted = [one for one in listing.bundles if one["standing"] == "trusted"]
    return (trusted or listing.bundles)[0], listing


def list_stores(tag: Tag | None = None) -> list[dict[str, Any]]:
    """List the Bentos and models of this machine's stores, newest first.

    What cannot be read is listed with the reason as its ``problem``.
    """
    rows = [row for kind in list_kinds() for row in _list_stored(kind, tag)]
    return sorted(rows, key=lambda one: (one["created_at"] or "", one["tag"]), reverse=True)


def get_stored(tag: Tag) -> dict[str, Any]:
    """Describe a Bento or model of this machine; without a version, what ``latest`` means here.

    Raises:
        MissingError: it is not in the store.
    """
    kind = find_kind(tag.kind)
    return _describe_stored(kind, *kind.find(f"{tag.name}:{tag.version or 'latest'}"))


def _judge() -> tuple[AdmissionPolicy | None, str]:
    try:
        return policy.load(), ""
    except AirgapError as error:
        return None, error.message


def _row(
    found: StoredBundle | DamagedBundle, judged: AdmissionPolicy | None, tag: Tag | None
) -> tuple[tuple[int, int, str], dict[str, Any]] | None:
    """Describe a bundle, with what it is sorted by (format §8); None if it has not the tag."""
    if isinstance(found, DamagedBundle):
        about = {"bundle": found.bundle, **_said("damaged", found.error)}
        return ((1, 0, found.bundle), about) if tag is None else None
    if tag is not None and not tag.may_be_in(found.raw):
        return None
    signers, standing = _standing(found, judged)
    try:
        manifest = manifests.decode(found.raw)
    except AirgapError as error:
        about = {"bundle": found.bundle, **_said("damaged", error)}
        return ((1, 0, found.bundle), about) if tag is None else None
    if tag is not None and not tag.is_in(manifest):
        return None
    about = describe_bundle(found.bundle, manifest) | standing | {"signed_by": signers}
    return (-manifest.sequence, -manifest.created_at, found.bundle), about


def _standing(
    found: StoredBundle, judged: AdmissionPolicy | None
) -> tuple[list[str], dict[str, Any]]:
    """Say who signed a bundle and whether this machine would import it."""
    claimed = sorted({one["key_id"] for one in describe_claims(found.evidence) if one["key_id"]})
    if judged is None:
        return claimed, _said("not verified")
    try:
        admission = judged.admit(found.raw, found.evidence)
    except AirgapError as error:
        is_policy = error.kind in ("policy", "conflict")
        return claimed, _said("not acceptable" if is_policy else "not trusted", error)
    return list(admission.manifest.signers["builder"]), _said("trusted")


def _said(standing: Standing, error: AirgapError | None = None) -> dict[str, Any]:
    trusted = {"trusted": True, "not verified": None}.get(standing, False)
    return {"trusted": trusted, "standing": standing, "reason": error.message if error else ""}


def _list_stored(kind: ItemKind, tag: Tag | None) -> Iterator[dict[str, Any]]:
    if tag is not None and tag.kind != kind.rules.name:
        return
    for name, version in kind.list_tags(tag.name if tag else None):
        if tag is None or tag.version in ("", version):
            yield _describe_stored(kind, name, version)


def _describe_stored(kind: ItemKind, name: str, version: str) -> dict[str, Any]:
    folder = kind.install_path(name, version).final
    about: dict[str, Any] = {
        "kind": kind.rules.name,
        "tag": f"{name}:{version}",
        "path": str(folder),
        "created_at": None,
        "size": None,
        "problem": "",
    }
    try:
        description = kind.describe(folder)
        about["created_at"] = format_time(description.created_at)
        about["models"] = [f"{one.name}:{one.version}" for one in description.models]
        about["size"] = scan(folder, ignored_folders=kind.ignored_folders).size
    except AirgapError as error:
        about["problem"] = error.message
    return about
