"""Whom this machine trusts, what it remembers, what time it is: all that admission needs (§7.5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from airgap.errors import AirgapError, ConfigurationError, PolicyError
from airgap.flow.admission import history
from airgap.format import limits
from airgap.format.ledger import Entry, State, digest
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.format.waiver import Waiver
from airgap.ledger import replay
from airgap.ledger.replay import IncomingBundle
from airgap.signing import trust
from airgap.signing.thresholds import Evidence
from airgap.signing.trust import Verified
from airgap.state import pinned_root

__all__ = ["Admission", "AdmissionPolicy", "describe_gap", "load", "require_root"]


def require_root() -> Verified[Root]:
    """Return the root this machine has pinned.

    Raises:
        ConfigurationError: it has none.
        NotTrustedError: the pinned root was changed on disk.
    """
    pinned = pinned_root.load_root()
    if pinned is None:
        raise ConfigurationError(
            "This machine trusts nobody yet.",
            "Run `airgap trust init ROOT --fingerprint SHA256:…` with the root of your site.",
        )
    return trust.accept_root(pinned.raw, pinned.envelopes, pinned.fingerprint)


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted manifest, the numbers that never came, and what only a waiver let pass."""

    manifest: Verified[Manifest]
    gap: range = range(0)
    lifted: tuple[str, ...] = ()
    waiver: Verified[Waiver] | None = None
    """The waiver that was needed, or None."""


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """Admits bundles, or refuses them.

    ``now`` is in seconds since 1970, and never before the time floor. ``channel`` is the only one
    to accept, if it is given.
    """

    root: Verified[Root]
    state: State
    now: int
    waivers: tuple[Verified[Waiver], ...] = ()
    channel: str | None = None

    def admit(self, raw: bytes, evidence: Evidence) -> Admission:
        """Admit a manifest by all rules of format §7.5.

        Raises:
            NotTrustedError, PolicyError, CorruptError: it is not admitted.
        """
        bundle = digest(raw)
        waiver = next((one for one in self.waivers if one.value.bundle == bundle), None)
        try:
            admitted = trust.admit(raw, evidence, self.root, self.now, waiver)
            self._refuse_channel(admitted.value)
            older = self.recheck(admitted.value, bundle, self.state, waiver)
        except PolicyError as error:
            raise self._explained(error, bundle) from error
        lifted = trust.find_waivable_problems(admitted.value, self.root.value, self.now)
        lifted += [older.message] if older else []
        gap = _arrival(admitted.value, bundle).gap(self.state)
        return Admission(admitted, gap, tuple(lifted), waiver if lifted else None)

    def recheck(
        self, manifest: Manifest, bundle: bytes, state: State, waiver: Verified[Waiver] | None
    ) -> PolicyError | None:
        """Refuse a replay by what is remembered (format §17.1); return what the waiver lifts.

        Raises:
            NotTrustedError: another bundle had this number.
            PolicyError: the bundle is older than its channel is here.
        """
        arrival = _arrival(manifest, bundle)
        replay.refuse_second(arrival, state)
        older = replay.check_rollback(arrival, state)
        if older and waiver is None:
            raise older
        if older:
            replay.refuse_used(arrival, history.read_entries(self.root.value.site))
        return older

    def refused(self, raw: bytes, envelopes: Sequence[bytes], error: AirgapError) -> AirgapError:
        """Remember that an import was refused, if enough builders signed it; return the error."""
        end, manifest = self.root.value.not_after, trust.decode_if_signed(raw, envelopes, self.root)
        if manifest is None or (end is not None and self.now > end):
            return error
        return history.record_refusal(self.entry(manifest, digest(raw)), error)

    def entry(self, manifest: Manifest, bundle: bytes, admission: Admission | None = None) -> Entry:
        """Make the entry about an import of a bundle; without an admission, about a refused one."""
        waiver = admission.waiver if admission else None
        gap = admission.gap if admission else range(0)
        return replace(
            history.make_root_entry(self.root.value, "waived" if waiver else "imported"),
            bundle=bundle,
            channel=manifest.channel,
            sequence=manifest.sequence,
            waiver=digest(waiver.raw) if waiver else None,
            note=waiver.value.reason if waiver else describe_gap(gap),
        )

    def _refuse_channel(self, manifest: Manifest) -> None:
        if self.channel is not None and manifest.channel != self.channel:
            raise PolicyError(
                f"The bundle is of channel {manifest.channel}; only {self.channel} was to be"
                " accepted.",
                "Ask the sender for a bundle of that channel, or leave out --channel.",
            )

    def _explained(self, error: PolicyError, bundle: bytes) -> PolicyError:
        """Tell of waivers that were given for other bundles."""
        others = [one.value.bundle.hex() for one in self.waivers if one.value.bundle != bundle]
        if not others:
            return error
        lines = (f"this is bundle {bundle.hex()}", *(f"a waiver is for {one}" for one in others))
        return PolicyError(error.message, error.hint, (*error.details, *lines))


def describe_gap(gap: range) -> str:
    """Say which numbers never came; nothing if there are none."""
    if not gap:
        return ""
    if len(gap) == 1:
        return f"number {gap.start} did not come"
    return f"numbers {gap.start} to {gap.stop - 1} did not come"


def load(waiver_files: Sequence[Path] = (), channel: str | None = None) -> AdmissionPolicy:
    """Return the judge of this machine at this moment.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        NotTrustedError: the pinned root was changed, or a waiver lacks signatures.
        PolicyError: what this machine remembers is not whole, or a waiver does not hold.
        CorruptError: a waiver is signed, but no waiver.
        StorageError: a file cannot be read.
    """
    root = require_root()
    state = history.require_consistent(root.value.site)
    now = history.compute_effective_time(state, root.value)
    files = [pinned_root.read_signed(one, limits.WAIVER_BYTES, "waiver") for one in waiver_files]
    held = tuple(trust.accept_waiver(*one, root, now) for one in files)
    return AdmissionPolicy(root, state, now, held, channel)


def _arrival(manifest: Manifest, bundle: bytes) -> IncomingBundle:
    return IncomingBundle(manifest.channel, manifest.sequence, bundle)
