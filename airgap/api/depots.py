"""What ``api_bentos`` and ``api_models`` do alike: BentoML's push, pull, list, get and delete."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airgap.api.keys import StrPath, signer_of
from airgap.api.locations import Pieces, place_of
from airgap.errors import ConfigurationError, UsageError
from airgap.flow import pipeline
from airgap.flow.admission import policy
from airgap.flow.depot import delete as deleting
from airgap.flow.depot import list_tags, open_depot
from airgap.flow.depot import pull as pulls
from airgap.flow.depot import push as pushes
from airgap.flow.exporting import sequence
from airgap.flow.exporting.write_bundle import BundleOptions
from airgap.flow.importing import install_bundle
from airgap.flow.location.credentials import Access
from airgap.flow.progress import Silent
from airgap.format.kinds import Kind

__all__ = ["Admitting", "Reach", "Signing", "delete", "find", "listed", "pull", "push"]

_DEPOT: Final = "AIRGAP_DEPOT"


@dataclass(frozen=True, slots=True)
class Reach:
    """How a depot is named and reached."""

    depot: StrPath | None = None
    user: str | None = None
    passwd: str | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = None

    def place(self) -> tuple[str, Access]:
        """Return the depot, or ``AIRGAP_DEPOT``, and how it is reached.

        Raises:
            ConfigurationError: neither says one.
        """
        found = os.fspath(self.depot) if self.depot else os.environ.get(_DEPOT)
        if not found:
            raise ConfigurationError("There is no depot.", f"Give depot=, or set {_DEPOT}.")
        return place_of(found, Pieces(None, self.user, self.passwd, self.params))


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs a push, and on which terms."""

    key: StrPath | None = None
    passphrase: str | bytes | None = field(default=None, repr=False)
    channel: str | None = None
    audience: Sequence[str] = ()
    expires_at: int | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Admitting:
    """What a pull accepts, and whether it replaces what is here."""

    force: bool = False
    waivers: Sequence[StrPath] = ()
    channel: str | None = None
    jobs: int | None = None


def push(wanted: pushes.Push, said: Signing) -> str:
    """Push an item; return the id of the bundle that holds it. Raises as ``pushing.push``."""
    settings = BundleOptions(
        said.jobs or pipeline.default_jobs(),
        channel=said.channel or sequence.UNNUMBERED,
        sequence=sequence.chosen(said.channel, None),
        audience=tuple(said.audience),
        expires_at=said.expires_at,
    )
    return pushes.push(wanted, signer_of(said.key, said.passphrase), settings, Silent()).bundle


def pull(wanted: pulls.Pull, access: Access, said: Admitting) -> str:
    """Pull an item; return its tag. Raises as ``open_for_pull`` and ``import_bundle``."""
    judged = policy.load([Path(one) for one in said.waivers], said.channel)
    with pulls.open_for_pull(wanted, judged, access, remember=True) as opened:
        done = install_bundle.import_bundle(
            opened,
            replace=said.force,
            dry_run=False,
            jobs=said.jobs or pipeline.default_jobs(),
            progress=Silent(),
        )
    tags = [item.tag for item, _ in done.outcomes if item.kind == wanted.tag.kind]
    return next(tag for tag in tags if tag.partition(":")[0] == wanted.tag.name)


def listed(kind: Kind, tag: object, reach: Reach) -> Sequence[dict[str, Any]]:
    """List a depot's bundles, or those that have a tag, as ``airgap list --json`` does."""
    place, access = reach.place()
    wanted = None if tag is None else list_tags.parse_tag(str(tag), kind)
    return list_tags.list_depot(place, access, wanted).bundles


def find(kind: Kind, tag: object, reach: Reach) -> dict[str, Any]:
    """Return what ``airgap get --json`` says of the newest bundle that has a tag."""
    place, access = reach.place()
    return list_tags.find_in(place, list_tags.parse_tag(str(tag), kind), access)[0]


def delete(kind: Kind, tag: object, reach: Reach) -> None:
    """Delete the bundles of a depot that hold a tag, with its version, and nothing besides.

    Raises:
        UsageError: there is no version.
        MissingError, ConflictError: as ``deleting.to_delete``.
    """
    place, access = reach.place()
    wanted = list_tags.parse_tag(str(tag), kind)
    if not wanted.version:
        raise UsageError(f"{tag} has no version.", "Name the one that is to go.")
    with open_depot.open_depot(place, access) as depot:
        for one in deleting.find_deletion_candidate(depot, place, wanted):
            deleting.delete_bundle(depot, one.bundle)
