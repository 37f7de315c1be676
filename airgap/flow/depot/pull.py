"""Pull: one Bento or model out of a depot, with the models it needs, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from airgap.errors import AirgapError, PolicyError
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle.tag import Tag
from airgap.flow.depot import open_depot
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle
from airgap.flow.importing.use_case import ImportRequest, ImportResult, import_bundle
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.location import DepotLocation, Location
from airgap.flow.progress import Progress
from airgap.format.manifest import Manifest

__all__ = ["PullRequest", "pull"]


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What to pull from where, and what is accepted; fields as those of ``ImportRequest``."""

    tag: Tag
    depot: DepotLocation
    with_models: bool = True
    replace: bool = False
    dry_run: bool = False
    waivers: Sequence[Path] = ()
    channel: str | None = None
    depots: Sequence[Location] = ()
    jobs: int | None = None
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


def pull(request: PullRequest, progress: Progress) -> ImportResult:
    """Install what a tag needs from the newest bundle that has it.

    Raises:
        MissingError: no bundle of the depot has it.
        NotTrustedError, PolicyError, CorruptError: it is not admitted; or another bundle that may
            have the tag is not trusted or damaged, so that the newest cannot be told.
        TransportError: the depot cannot be read.
        AirgapError: as ``import_bundle``.
    """
    connector = Connector(request.credentials, request.transfer, progress)
    bundle, passed_over = _choose(request, connector)
    result = import_bundle(
        ImportRequest(
            [replace(request.depot, bundle=bundle)],
            replace=request.replace,
            dry_run=request.dry_run,
            tag=request.tag,
            with_models=request.with_models,
            waivers=request.waivers,
            channel=request.channel,
            depots=request.depots,
            jobs=request.jobs,
            credentials=request.credentials,
            transfer=request.transfer,
        ),
        progress,
    )
    opened = result.opened and replace(result.opened, passed_over=passed_over)
    return replace(result, opened=opened)


def _choose(request: PullRequest, connector: Connector) -> tuple[str, tuple[str, ...]]:
    """Find the newest bundle that has the tag (format §8); return a line for each passed over.

    One that carries all its chunks comes before those that do not, whose content must be here.
    """
    judged = policy.load(request.waivers, request.channel)
    ranked: list[tuple[tuple[bool, int, int], str]] = []
    refused: list[tuple[str, PolicyError]] = []
    with open_depot.open_depot(request.depot, connector) as depot:
        for found in open_depot.read_bundles(depot, request.depot.bundle):
            try:
                manifest = _admitted(found, request.tag, judged)
            except PolicyError as error:
                refused.append((found.bundle, error))
            except AirgapError as error:
                raise _undecided(request, found.bundle, error) from error
            else:
                if manifest:
                    ranked.append((_rank(manifest), found.bundle))
    if not ranked and refused:
        raise refused[-1][1]
    if not ranked:
        raise open_depot.make_not_found(request.depot, str(request.tag))
    ranked.sort(key=lambda one: one[1])
    _, newest = max(ranked, key=lambda one: one[0])  # the first of two that are alike
    return newest, tuple(f"{depot.location}#{one[:12]}: {error.message}" for one, error in refused)


def _admitted(
    found: StoredBundle | DamagedBundle, tag: Tag, judged: AdmissionPolicy
) -> Manifest | None:
    """Admit a bundle; None if it has not the tag.

    Only bytes are compared before that: a bundle in which the name is nowhere cannot have it.
    """
    if isinstance(found, DamagedBundle):
        raise found.error
    if not tag.may_be_in(found.raw):
        return None
    manifest = judged.admit(found.raw, found.evidence).manifest.value
    return manifest if tag.is_in(manifest) else None


def _rank(manifest: Manifest) -> tuple[bool, int, int]:
    whole = manifest.carried == len(manifest.chunks)
    return whole, manifest.sequence, manifest.created_at


def _undecided(request: PullRequest, bundle: str, error: AirgapError) -> AirgapError:
    if request.depot.bundle:
        return error
    return type(error)(
        f"{error.message} That is bundle {bundle[:12]}, which may have the {request.tag}, so which"
        " is the newest cannot be told.",
        f"See `airgap list {request.depot}`, then name the one you want: DEPOT#ID; or have it"
        " deleted.",
        error.details,
    )
