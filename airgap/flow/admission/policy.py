"""The admission policy of this machine: pinned root, import history, time, waivers (§7.5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from airgap.errors import AirgapError, ConfigurationError, PolicyError
from airgap.flow.admission import history
from airgap.flow.site import load_pinned
from airgap.format import limits
from airgap.format.ledger import Entry, State, bound_signers, digest
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.format.waiver import Waiver
from airgap.ledger import replay
from airgap.ledger.replay import IncomingBundle
from airgap.sealing.age_keys import AgeIdentity
from airgap.sealing.identity_files import read_identities
from airgap.signing import trust
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified
from airgap.state import pinned_root
from airgap.state.state_folder import describe_search

__all__ = ["Admission", "AdmissionPolicy", "describe_gap", "load", "require_root"]


def require_root() -> Verified[Root]:
    """Return the root that this machine has pinned.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        NotTrustedError: the pinned root was changed on disk.
    """
    pinned = load_pinned()
    if pinned is None:
        raise ConfigurationError(
            "This machine trusts nobody yet.",
            f"There is no root in {describe_search()}. Run `airgap trust init` with a depot or the"
            " root of your site; if another user did so, set AIRGAP_HOME to that user's folder.",
        )
    return pinned


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted manifest.

    ``gap`` has the sequence numbers that never came, ``lifted`` what a waiver had to lift.
    """

    manifest: Verified[Manifest]
    gap: range = range(0)
    lifted: tuple[str, ...] = ()
    waiver: Verified[Waiver] | None = None
    """The waiver that was needed, or None."""


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """Admits bundles, or refuses them.

    ``now`` is in seconds since 1970, and never before the time floor. If ``channel`` is given,
    bundles of other channels are refused. ``undemanded`` has the names of attestations that a
    bundle may lack.
    """

    root: Verified[Root]
    state: State
    now: int
    waivers: tuple[Verified[Waiver], ...] = ()
    channel: str | None = None
    undemanded: frozenset[str] = frozenset()
    identities: tuple[AgeIdentity, ...] = ()
    """What opens sealed bundles (format §34)."""
    waiver_envelopes: Mapping[bytes, Sequence[bytes]] = field(default_factory=dict)
    """Who signed the waivers, by the SHA-256 of each."""
    looks_only: bool = False
    """Whether a sealed bundle is to be looked at as its index says, where there is no identity."""
    on_refusal: Callable[[bytes, AirgapError], object] = lambda bundle, error: None  # noqa: ARG005
    """Takes the id of each bundle of which a refusal is recorded, and the error."""

    @property
    def stays_sealed(self) -> bool:
        """Tell whether sealed bundles are not opened: nothing is installed then."""
        return self.looks_only and not self.identities

    def admit(self, raw: bytes, evidence: Evidence) -> Admission:
        """Admit a manifest by all rules of format §7.5.

        Raises:
            NotTrustedError, PolicyError, CorruptError: it is not admitted.
        """
        bundle = digest(raw)
        waiver = next((waiver for waiver in self.waivers if waiver.value.bundle == bundle), None)
        try:
            admitted = trust.admit(
                raw, evidence, self.root, self.now, waiver, undemanded=self.undemanded
            )
            if admitted.value.completes is not None or admitted.value.sealed is not None:
                return Admission(admitted)  # it has no place in a channel (format §22, §34.5)
            self._refuse_channel(admitted.value)
            rollback = self.recheck(admitted.value, bundle, self.state, waiver)
        except PolicyError as error:
            raise self._mention_other_waivers(error, bundle) from error
        lifted = trust.find_waivable_problems(admitted.value, self.root.value, self.now)
        lifted += [rollback.message] if rollback else []
        gap = _make_incoming(admitted.value, bundle).find_gap(self.state)
        return Admission(admitted, gap, tuple(lifted), waiver if lifted else None)

    def admit_to_serve(self, raw: bytes, evidence: Evidence) -> Verified[Manifest]:
        """Admit a manifest whose bundle is to be served to others, and not installed here.

        Format §17.1 is of arrivals: an older number is served until the root's minimum or a
        revocation says no. A second bundle of one number is refused as ever.

        Raises:
            NotTrustedError, PolicyError, CorruptError: it is not admitted.
        """
        admitted = trust.admit(raw, evidence, self.root, self.now)
        if admitted.value.completes is None and admitted.value.sealed is None:
            replay.refuse_second(_make_incoming(admitted.value, digest(raw)), self.state)
        return admitted

    def recheck(
        self, manifest: Manifest, bundle: bytes, state: State, waiver: Verified[Waiver] | None
    ) -> PolicyError | None:
        """Refuse a replay (format §17.1); return the error that the waiver lifts, or None.

        Raises:
            NotTrustedError: another bundle had this number.
            PolicyError: the bundle is older than its channel's last, and there is no waiver.
        """
        incoming = _make_incoming(manifest, bundle)
        replay.refuse_second(incoming, state)
        has_approvers = bool(self.root.value.threshold("approver"))
        rollback = replay.check_rollback(incoming, state, has_approvers=has_approvers)
        if rollback and waiver is None:
            raise rollback
        if rollback:
            entries = history.read_entries(self.root.value.site)
            replay.refuse_reused_sequence(incoming, entries)
        return rollback

    def record_refusal(
        self, raw: bytes, envelopes: Sequence[bytes], error: AirgapError
    ) -> AirgapError:
        """Record that an import was refused, if enough builders signed it; return the error."""
        end, signed = self.root.value.not_after, trust.decode_if_signed(raw, envelopes, self.root)
        if signed is None or (end is not None and self.now > end):
            return error
        manifest, builders = signed
        entry = replace(
            self.make_entry(manifest, digest(raw)), signed_by=bound_signers({"builder": builders})
        )
        self.on_refusal(digest(raw), error)
        return history.record_refusal(entry, error)

    def make_entry(
        self, manifest: Manifest, bundle: bytes, admission: Admission | None = None
    ) -> Entry:
        """Return the ledger entry of an import; without an admission, of a refused one."""
        waiver = admission.waiver if admission else None
        gap = admission.gap if admission else range(0)
        return replace(
            history.make_root_entry(self.root.value, "waived" if waiver else "imported"),
            bundle=bundle,
            channel=manifest.channel,
            sequence=manifest.sequence,
            waiver=digest(waiver.raw) if waiver else None,
            note=waiver.value.reason if waiver else describe_gap(gap),
            signed_by=_list_signers(admission),
        )

    def _refuse_channel(self, manifest: Manifest) -> None:
        if self.channel is not None and manifest.channel != self.channel:
            raise PolicyError(
                f"The bundle is of channel {manifest.channel}; only channel {self.channel} is"
                " accepted.",
                "Ask the sender for a bundle of that channel, or leave out --channel.",
            )

    def _mention_other_waivers(self, error: PolicyError, bundle: bytes) -> PolicyError:
        """Add to an error the waivers that were given for other bundles."""
        ids = [waiver.value.bundle for waiver in self.waivers]
        others = [other.hex() for other in ids if other != bundle]
        if not others:
            return error
        lines = (
            f"this is bundle {bundle.hex()}",
            *(f"a waiver is for {other}" for other in others),
        )
        return PolicyError(error.message, error.hint, (*error.details, *lines))


def describe_gap(gap: range) -> str:
    """Return a phrase for the numbers that never came; empty if there are none."""
    if not gap:
        return ""
    if len(gap) == 1:
        return f"number {gap.start} did not come"
    return f"numbers {gap.start} to {gap.stop - 1} did not come"


def load(
    waiver_files: Sequence[Path] = (), channel: str | None = None, identities: Sequence[str] = ()
) -> AdmissionPolicy:
    """Return the admission policy of this machine at this moment.

    ``identities`` are files, or descriptors as ``fd:N``, that open sealed bundles.

    Raises:
        ConfigurationError: this machine trusts nobody yet, or an identity cannot be used.
        NotTrustedError: the pinned root was changed, or a waiver lacks signatures.
        PolicyError: the import history is missing, restored or damaged, or a waiver does not hold.
        CorruptError: a waiver is signed, but is not in the format.
        StorageError: a file cannot be read.
    """
    root = require_root()
    state = history.require_consistent(root.value.site)
    now = history.compute_effective_time(state, root.value)
    files = [pinned_root.read_signed(path, limits.WAIVER_BYTES, "waiver") for path in waiver_files]
    waivers = tuple(trust.accept_waiver(raw, envelopes, root, now) for raw, envelopes in files)
    secrets = read_identities(identities)
    return AdmissionPolicy(
        root,
        state,
        now,
        waivers,
        channel,
        identities=secrets,
        waiver_envelopes={digest(raw): envelopes for raw, envelopes in files},
    )


def _list_signers(admission: Admission | None) -> dict[str, tuple[str, ...]]:
    """Return whose signatures admitted a bundle, and whose permitted it, for the ledger."""
    if admission is None:
        return {}
    waiver = admission.waiver.signers["approver"] if admission.waiver else ()
    signers: dict[str, tuple[str, ...]] = {"waiver": waiver}
    signers.update(admission.manifest.signers.items())
    return bound_signers(signers)


def _make_incoming(manifest: Manifest, bundle: bytes) -> IncomingBundle:
    return IncomingBundle(manifest.channel, manifest.sequence, bundle)
