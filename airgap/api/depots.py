"""What Bentos and models have in common: BentoML's push, pull, list, get and delete."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from airgap.api import results
from airgap.api.arguments import StrPath, TagLike, as_paths
from airgap.api.keys import Passphrase, PrivateKey, make_signer
from airgap.api.locations import Pieces, connect, join_pieces
from airgap.api.progress import ProgressCallback, make_progress
from airgap.api.sealing import choose_identities
from airgap.errors import ConfigurationError, MissingError, UsageError
from airgap.flow.bundle.tag import Tag, parse_tag
from airgap.flow.depot import delete as deleting
from airgap.flow.depot import list_tags, open_depot
from airgap.flow.depot import pull as pulls
from airgap.flow.depot import push as pushes
from airgap.flow.exporting.attachment_options import AttachmentOptions
from airgap.flow.exporting.closure import Closure
from airgap.flow.exporting.terms import Terms
from airgap.flow.location.connector import Connector
from airgap.flow.location.location import DepotLocation, parse_depot
from airgap.format.kinds import Kind
from airgap.store.kinds import find_kind, is_installed

__all__ = ["Admitting", "Reach", "Signing", "delete", "find", "list_bundles", "pull", "push"]

_DEPOT: Final = "AIRGAP_DEPOT"


@dataclass(frozen=True, slots=True)
class Reach:
    """How a depot is named and reached."""

    depot: StrPath | None = None
    user: str | None = None
    passwd: str | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = None

    def find(self) -> tuple[DepotLocation, Connector]:
        """Return the depot, or ``AIRGAP_DEPOT``, and how it is reached.

        Raises:
            ConfigurationError: neither names one.
            UsageError: it is a file, or the arguments contradict each other.
        """
        text = os.fspath(self.depot) if self.depot else os.environ.get(_DEPOT)
        if not text:
            raise ConfigurationError("There is no depot.", f"Give depot=, or set {_DEPOT}.")
        pieces = Pieces(None, self.user, self.passwd, self.params)
        written = join_pieces(text, pieces)
        return parse_depot(written), connect(written, pieces)


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs a push, on which terms, and what travels beside models."""

    key: StrPath | PrivateKey | None = None
    passphrase: Passphrase | None = field(default=None, repr=False)
    terms: Terms = field(default_factory=Terms)
    jobs: int | None = None
    closure: Closure = field(default_factory=Closure)
    progress: ProgressCallback | None = None
    licence_policy: StrPath | None = None
    attachments: AttachmentOptions = field(default_factory=AttachmentOptions)


@dataclass(frozen=True, slots=True)
class Admitting:
    """What a pull accepts, and whether it replaces what is here."""

    force: bool = False
    waivers: Sequence[StrPath] = ()
    channel: str | None = None
    jobs: int | None = None
    progress: ProgressCallback | None = None
    identities: Sequence[StrPath] = ()


def push(  # noqa: PLR0913  (what a person may say)
    kind: Kind,
    tag: TagLike | str,
    reach: Reach,
    signing: Signing,
    *,
    with_models: bool = True,
    bare: bool = False,
    force: bool = False,
) -> str:
    """Push an item; return the id of the bundle that holds it. Raises as ``push.push``."""
    depot, connector = reach.find()
    policy = signing.licence_policy
    request = pushes.PushRequest(
        kind,
        str(tag),
        depot,
        make_signer(signing.key, signing.passphrase),
        signing.terms,
        signing.closure,
        with_models=with_models,
        bare=bare,
        force=force,
        licence_policy=None if policy is None else Path(policy),
        attachments=signing.attachments,
        jobs=signing.jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return pushes.push(request, make_progress(signing.progress)).bundle


def pull(
    kind: Kind, tag: TagLike | str, reach: Reach, admitting: Admitting, *, with_models: bool = True
) -> str:
    """Return the tag of an installed item, or pull it. Raises as ``pull.pull``.

    As in BentoML, the depot is asked only for what is not here, or with ``force``.
    """
    wanted = parse_tag(str(tag), kind)
    if not admitting.force:
        installed = _find_installed(wanted, with_models=with_models)
        if installed:
            return installed
    depot, connector = reach.find()
    request = pulls.PullRequest(
        wanted,
        depot,
        with_models=with_models,
        replace=admitting.force,
        waivers=as_paths(admitting.waivers),
        channel=admitting.channel,
        identities=choose_identities(admitting.identities),
        jobs=admitting.jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    done = pulls.pull(request, make_progress(admitting.progress))
    tags = [item.tag for item, _ in done.outcomes if item.kind == kind]
    return next(tag for tag in tags if tag.partition(":")[0] == wanted.name)


def _find_installed(wanted: Tag, *, with_models: bool) -> str | None:
    """Return the tag of an item of this machine's store, if its models are here as well."""
    kind = find_kind(wanted.kind)
    try:
        name, version = kind.find(f"{wanted.name}:{wanted.version or 'latest'}")
    except MissingError:
        return None
    folder = kind.install_path(name, version).final
    models = kind.describe(folder).models if with_models else ()
    return f"{name}:{version}" if all(map(is_installed, models)) else None


def list_bundles(
    kind: Kind, tag: TagLike | str | None, reach: Reach
) -> list[results.DepotBundleDict]:
    """List a depot's bundles, or those that have a tag, as ``airgap list --json``; newest first.

    ``AIRGAP_IDENTITY`` opens sealed ones.
    """
    depot, connector = reach.find()
    wanted = None if tag is None else parse_tag(str(tag), kind)
    bundles = cast(
        "list[results.DepotBundleDict]",
        list_tags.list_depot(depot, connector, wanted, choose_identities(())).bundles,
    )
    return sorted(bundles, key=lambda bundle: bundle.get("created_at", ""), reverse=True)


def find(kind: Kind, tag: TagLike | str, reach: Reach) -> results.FoundBundleDict:
    """Return what ``airgap get --json`` says of the newest bundle that has a tag.

    ``AIRGAP_IDENTITY`` opens sealed ones.
    """
    depot, connector = reach.find()
    wanted = parse_tag(str(tag), kind)
    newest, listing = list_tags.find_in(depot, wanted, connector, choose_identities(()))
    others = [bundle["bundle"] for bundle in listing.bundles]
    description = {
        "tag": str(wanted),
        "depot": str(depot),
        **newest,
        "other_bundles": [other for other in others if other != newest["bundle"]],
        "not_verified_because": listing.why_not_verified or None,
    }
    return cast("results.FoundBundleDict", description)


def delete(kind: Kind, tag: TagLike | str, reach: Reach) -> None:
    """Delete the bundles of a depot that hold a tag, with its version, and nothing besides.

    Raises:
        UsageError: there is no version.
        MissingError, ConflictError: as ``find_deletion_candidates``.
        PolicyError: an archive keeps one of them; nothing was deleted.
    """
    location, connector = reach.find()
    wanted = parse_tag(str(tag), kind)
    if not wanted.version:
        raise UsageError(f"{tag} has no version.", "Name the one that is to go.")
    with open_depot.open_depot(location, connector) as depot:
        candidates = deleting.find_deletion_candidates(depot, location.bundle, wanted)
        deleting.delete_candidates(depot, candidates, connector.progress)
