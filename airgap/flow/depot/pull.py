"""Pull: installs one Bento or model of a depot, with the models that it needs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from airgap.carrier.depot import Depot
from airgap.errors import AirgapError, ConfigurationError, MissingError, PolicyError
from airgap.flow.admission import policy
from airgap.flow.admission.policy import AdmissionPolicy
from airgap.flow.bundle.import_order import describe_left_behind
from airgap.flow.bundle.open_bundle import (
    EarlierBundle,
    Refused,
    describe_earlier,
    select_earlier,
)
from airgap.flow.bundle.tag import Tag
from airgap.flow.bundle.unseal import check_inner
from airgap.flow.depot import open_depot
from airgap.flow.depot.open_depot import DamagedBundle, StoredBundle
from airgap.flow.importing.use_case import ImportRequest, ImportResult, import_bundle
from airgap.flow.location.connector import Connector, TransferOptions
from airgap.flow.location.credentials import Credentials
from airgap.flow.location.location import DepotLocation, Location
from airgap.flow.progress import Progress
from airgap.format import manifest as manifests
from airgap.format.kinds import BENTO, MODEL
from airgap.format.manifest import Manifest
from airgap.format.newest import Age, choose_newest, read_age
from airgap.format.sealed import may_be_sealed
from airgap.ledger.replay import OlderError
from airgap.printable import count_text, series_text

__all__ = ["PullRequest", "pull"]

_MOST_READ: Final = 100
"""The bundles without the tag that are looked at for a note; it is not worth reading more."""


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
    identities: Sequence[str] = ()
    """What opens sealed bundles: files, or descriptors as ``fd:N``."""
    depots: Sequence[Location] = ()
    licence_policy: Path | None = None
    jobs: int | None = None
    credentials: Credentials = field(default_factory=Credentials)
    transfer: TransferOptions = field(default_factory=TransferOptions)


def pull(request: PullRequest, progress: Progress) -> ImportResult:
    """Install what a tag needs from the newest bundle that holds it.

    Raises:
        MissingError: no bundle of the depot holds it.
        NotTrustedError, PolicyError, CorruptError: it is not admitted; or another bundle that may
            hold the tag is not trusted or is damaged, so the newest cannot be determined.
        TransportError: the depot cannot be read.
        AirgapError: as ``import_bundle``.
    """
    connector = Connector(request.credentials, request.transfer, progress)
    search = _Search(request.tag, policy.load(request.waivers, request.channel, request.identities))
    chosen = _choose_bundle(request, search, connector)
    earlier = search.find_earlier(chosen)
    if search.unopened:
        bundles = count_text(search.unopened, "sealed bundle")
        progress.note(f"{bundles} of the depot cannot be opened here, and may hold a newer one.")
    left_behind = describe_left_behind(earlier, chosen.bundle)
    if left_behind:
        progress.note(left_behind)
    result = import_bundle(
        ImportRequest(
            [replace(request.depot, bundle=chosen.age.bundle)],
            replace=request.replace,
            dry_run=request.dry_run,
            tag=request.tag,
            with_models=request.with_models,
            waivers=request.waivers,
            channel=request.channel,
            identities=request.identities,
            depots=request.depots,
            licence_policy=request.licence_policy,
            jobs=request.jobs,
            credentials=request.credentials,
            transfer=request.transfer,
        ),
        progress,
    )
    if result.opened is None:
        return result
    opened = replace(result.opened.with_refused(search.refused), earlier=earlier)
    return replace(result, opened=opened)


def _choose_bundle(request: PullRequest, search: "_Search", connector: Connector) -> "_Candidate":
    """Find the newest bundle that holds the tag (format §8).

    Of bundles with the same items, one that carries all its chunks comes first: a bare one, or a
    difference, needs content of this machine.
    """
    with open_depot.open_depot(request.depot, connector) as depot:
        for bundle in open_depot.read_bundles(depot, request.depot.bundle):
            try:
                search.examine(depot, bundle)
            except AirgapError as error:
                raise _undecided(request, bundle.bundle, error) from error
    candidates = search.candidates
    newest = _choose_newest(candidates)
    if newest is None:
        raise search.explain() or open_depot.make_not_found(
            request.depot, str(request.tag), search.unopened
        )
    complete = [other for other in candidates if other.is_complete and other.items == newest.items]
    return newest if newest.is_complete else _choose_newest(complete) or newest


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An admitted bundle that holds the tag."""

    age: Age
    items: tuple[bytes, ...]
    """The digests of its items."""
    is_complete: bool
    """Whether it carries all its chunks."""
    bundle: EarlierBundle


def _make_candidate(bundle: str, manifest: Manifest, described: EarlierBundle) -> _Candidate:
    return _Candidate(
        read_age(bundle, manifest),
        tuple(item.digest for item in manifest.items),
        manifest.carried == len(manifest.chunks),
        described,
    )


def _choose_newest(candidates: Sequence[_Candidate]) -> _Candidate | None:
    return choose_newest(candidates, lambda candidate: candidate.age)


@dataclass(slots=True)
class _Search:
    """Looks for a tag in the bundles of a depot."""

    tag: Tag
    admission: AdmissionPolicy
    candidates: list[_Candidate] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    """Those that hold the tag, and that this site's policy refuses."""
    older: list[Manifest] = field(default_factory=list)
    """Those of ``refused`` with a number that is too low."""
    others: list[EarlierBundle] = field(default_factory=list)
    """All that this site would import, up to ``_MOST_READ``, whatever they hold."""
    unopened: int = 0
    """How many are sealed, and nothing given opens them."""
    has_other_kind: bool = False
    """Whether the tag is a model's where a Bento was wanted, or a Bento's."""

    def examine(self, depot: Depot, bundle: StoredBundle | DamagedBundle) -> None:
        """Admit a bundle that may hold the tag; of a sealed one, the index and what is inside.

        Before that, only bytes are compared: without the name's bytes, a manifest cannot hold it.

        Raises:
            AirgapError: it is damaged, or not trusted.
        """
        location = f"{depot.location}#{bundle.bundle}"
        if isinstance(bundle, DamagedBundle):
            raise bundle.error
        inside = self._unseal(depot, bundle) if may_be_sealed(bundle.raw) else bundle
        if inside is not None:
            self._examine(inside, location)

    def _unseal(self, depot: Depot, bundle: StoredBundle) -> StoredBundle | None:
        """Return what is inside, or the bundle itself if it is not sealed; None if not for here."""
        try:
            index = self.admission.admit(bundle.raw, bundle.evidence).manifest.value
        except PolicyError:  # its own, or that of a bundle that only has such a name in it
            return None if manifests.decode(bundle.raw).sealed else bundle
        if index.sealed is None:
            return bundle
        try:
            return open_depot.unseal_stored(depot, bundle, index, self.admission.identities)
        except ConfigurationError:
            self.unopened += 1
            return None

    def _examine(self, bundle: StoredBundle, location: str) -> None:
        """Admit a bundle that is not sealed. Raises as ``examine``."""
        if not self.tag.may_be_in(bundle.raw):
            self._note_other(bundle, location)
            return
        try:
            manifest = self.admission.admit(bundle.raw, bundle.evidence).manifest.value
            if bundle.index:
                check_inner(location, bundle.index, manifest)
        except PolicyError as error:
            manifest = manifests.decode(bundle.raw)
            if self._is_held(manifest):
                self.refused.append((location, error))
                self.older += [manifest] if isinstance(error, OlderError) else []
        else:
            described = describe_earlier(location, manifest)
            if manifest.completes is None:
                self.others.append(described)
            if self._is_held(manifest) and manifest.completes is None:
                self.candidates.append(_make_candidate(bundle.bundle, manifest, described))

    def _note_other(self, bundle: StoredBundle, location: str) -> None:
        """Keep what a bundle without the tag holds, for a note: it decides nothing."""
        if len(self.others) >= _MOST_READ:
            return
        with suppress(AirgapError):
            manifest = self.admission.admit(bundle.raw, bundle.evidence).manifest.value
            if manifest.completes is None:
                self.others.append(describe_earlier(location, manifest))

    def find_earlier(self, chosen: _Candidate) -> tuple[EarlierBundle, ...]:
        """Return the bundles that cannot be imported any more after this one (format §17.1)."""
        last = self.admission.state.last_sequence(chosen.bundle.channel)
        return select_earlier(self.others, chosen.bundle, last)

    def explain(self) -> AirgapError | None:
        """Return why no bundle is fit; None if none holds the tag."""
        if self.refused and len(self.older) == len(self.refused):
            return self._explain_older()
        if self.refused:
            return self.refused[-1][1]
        if not self.has_other_kind:
            return None
        name = str(self.tag).partition(" ")[2]
        if self.tag.kind == BENTO.name:
            return MissingError(f"{name} is a model.", "Add --model.")
        return MissingError(f"{name} is a Bento.", "Leave out --model.")

    def _is_held(self, manifest: Manifest) -> bool:
        other = MODEL if self.tag.kind == BENTO.name else BENTO
        self.has_other_kind |= replace(self.tag, kind=other.name).is_in(manifest)
        return self.tag.is_in(manifest)

    def _explain_older(self) -> PolicyError:
        """Name the numbers of the bundles that hold the tag, and the last one of this site."""
        channel, error = self.older[-1].channel, self.refused[-1][1]
        numbers = sorted({each.sequence for each in self.older if each.channel == channel})
        listed = series_text([str(number) for number in numbers])
        bundles = "bundle" if len(numbers) == 1 else "bundles"
        return OlderError(
            f"{str(self.tag).partition(' ')[2]} is in {bundles} {listed} of channel {channel}; this"
            f" site has number {self.admission.state.last_sequence(channel)}.",
            error.hint,
            error.details,
        )


def _undecided(request: PullRequest, bundle: str, error: AirgapError) -> AirgapError:
    if request.depot.bundle:
        return error
    return error.reword(
        f"{error.message} Bundle {bundle} may hold the {request.tag}, so the newest cannot be"
        " determined.",
        f"{error.hint} Or name the bundle that you want (DEPOT#ID): `airgap list {request.depot}`"
        " shows them.",
        error.details,
    )
