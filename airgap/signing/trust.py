"""The trust decision (format §7.2 to §7.5, §14 to §16). Only this module makes ``Verified`` values.

Checked here: signatures, thresholds, revocation, and only then decoding; audience, expiry, minimum
sequence, attestations, waivers. Left to the caller: that the bundle is not a replay, and that packs
and files are those that the manifest names.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from airgap.errors import AirgapError, NotTrustedError, PolicyError
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format import root as roots
from airgap.format import waiver as waivers
from airgap.format.attestation import ATTESTING_ROLES, DEFAULT_NAMES, Attestation
from airgap.format.envelope import Role
from airgap.format.fingerprints import refuse_fingerprint
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.format.waiver import Waiver
from airgap.signing.public_keys import check_key
from airgap.signing.signer_lines import (
    describe_demand,
    describe_role,
    find_command,
    list_signers,
)
from airgap.signing.thresholds import (
    Accepting,
    DemandCount,
    Evidence,
    count_demands,
    find_valid_attestations,
    find_valid_signers,
)
from airgap.times import format_time

__all__ = [
    "LackingAttestationsError",
    "Verified",
    "accept_root",
    "accept_waiver",
    "admit",
    "admit_to_archive",
    "decode_if_signed",
    "demand_builders",
    "find_broken_rules",
    "find_waivable_problems",
    "succeed",
]

T = TypeVar("T")
_SEAL: Final = object()


class LackingAttestationsError(PolicyError):
    """The site requires attestations that the bundle does not have: they may still come."""

    builders: tuple[str, ...] = ()
    """The keys of the builders that were counted."""
    counts: Sequence["DemandCount"] = ()
    """What was counted of each attestation."""


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A value whose bytes were signed as the site requires. Only this module can make one.

    ``signers`` has the ids of the keys that were counted, by role; those of scanners and approvers
    accept under the default name of the role. ``counts`` has all attestations, by name.
    """

    value: T
    raw: bytes
    signers: Mapping[Role, tuple[str, ...]]
    seal: object = None
    counts: tuple[DemandCount, ...] = ()
    attestations: tuple[tuple[str, Attestation], ...] = ()
    """Those by which it was accepted, each with the id of its key."""

    def __post_init__(self) -> None:
        """Refuse construction by any other module."""
        if self.seal is not _SEAL:
            raise TypeError("only airgap.signing.trust makes Verified values")


def admit(  # noqa: PLR0913  (all that rules of format §7.5 ask for)
    raw: bytes,
    evidence: Evidence,
    root: Verified[Root],
    now: int,
    waiver: Verified[Waiver] | None = None,
    *,
    undemanded: Collection[str] = (),
) -> Verified[Manifest]:
    """Admit a manifest: signatures first, then its content (format §7.5, rules 1 to 9).

    Args:
        raw: the manifest's bytes, as they were read; they are not read again.
        evidence: the builders' envelopes, and the attestations with their envelopes.
        root: the site's pinned root.
        now: seconds since 1970.
        waiver: lifts the rules about the bundle's age, if it names this bundle (format §16).
        undemanded: names of attestations that the bundle may lack; one that rejects it counts.

    Raises:
        NotTrustedError: too few builders signed these bytes, the bundle is revoked, or a
            signature is not that of the key that it claims.
        PolicyError: expired, not for this site, below the channel's minimum sequence, rejected,
            accepted by too few scanners or approvers, or with labels that the site does not accept.
        CorruptError: signed, but not a manifest of this format.
    """
    trusted = root.value
    _refuse_expired("root", trusted.not_after, now)
    builders = demand_builders(raw, evidence.envelopes, root)
    bundle = bytes.fromhex(manifests.bundle_id(raw))
    manifest = manifests.decode(raw)
    if waiver is None or waiver.value.bundle != bundle:
        _refuse_expired("bundle", manifest.expires_at, now)
    _refuse_other_audience(manifest, trusted)
    if manifest.completes is not None or manifest.sealed is not None:
        # Not installed itself: the other rules are for the bundle that it completes, or has inside.
        _find_attestations(bundle, evidence, trusted)  # a rejection refuses any bundle
        return Verified(manifest, raw, MappingProxyType({"builder": builders}), _SEAL)
    if waiver is None or waiver.value.bundle != bundle:
        _refuse_low_sequence(manifest, trusted)
    _refuse_labels(manifest, trusted)
    attestations = _find_attestations(bundle, evidence, trusted)
    accepting = _group(attestations)
    counts = count_demands(accepting, trusted, now)
    demanded = [count for count in counts if count.demand.name not in undemanded]
    _require_attestations(trusted, builders, demanded)
    signers: dict[Role, tuple[str, ...]] = {"builder": builders}
    for role in ATTESTING_ROLES:
        if role in trusted.roles:
            signers[role] = tuple(sorted(accepting.get((role, DEFAULT_NAMES[role]), ())))
    return Verified(manifest, raw, MappingProxyType(signers), _SEAL, counts, attestations)


def admit_to_archive(raw: bytes, evidence: Evidence, root: Verified[Root]) -> Verified[Manifest]:
    """Admit a manifest to an archive: it may have expired, and need not be the newest (§35.5).

    Raises:
        NotTrustedError: too few builders signed these bytes, the bundle is revoked, or a
            signature is not that of the key that it claims.
        PolicyError: it is not for this site, or is rejected.
        CorruptError: signed, but not a manifest of this format.
    """
    builders = demand_builders(raw, evidence.envelopes, root)
    manifest = manifests.decode(raw)
    _refuse_other_audience(manifest, root.value)
    bundle = bytes.fromhex(manifests.bundle_id(raw))
    attestations = _find_attestations(bundle, evidence, root.value)
    signers: Mapping[Role, tuple[str, ...]] = MappingProxyType({"builder": builders})
    return Verified(manifest, raw, signers, _SEAL, attestations=attestations)


def demand_builders(
    raw: bytes, envelopes: Sequence[bytes], root: Verified[Root]
) -> tuple[str, ...]:
    """Demand that enough builders signed a manifest; return their ids (format §7.5, rules 2 and 3).

    Raises:
        NotTrustedError: too few signed these bytes, a signature is not that of the key that it
            claims, or the bundle is revoked.
    """
    builders = _require_builders(raw, envelopes, root.value)
    _refuse_revoked(bytes.fromhex(manifests.bundle_id(raw)), root.value)
    return builders


def _refuse_revoked(bundle: bytes, root: Root) -> None:
    if bundle in root.revoked_bundles:
        raise NotTrustedError(
            "This bundle is revoked by the site's root.", "Ask the sender for a newer bundle."
        )


def decode_if_signed(
    raw: bytes, envelopes: Sequence[bytes], root: Verified[Root]
) -> tuple[Manifest, tuple[str, ...]] | None:
    """Decode a manifest that enough builders signed, admitted or not; None if they did not.

    Returns it with the ids of their keys.
    """
    try:
        builders = _require_builders(raw, envelopes, root.value)
        return manifests.decode(raw), builders
    except AirgapError:
        return None


def find_waivable_problems(manifest: Manifest, root: Root, now: int) -> list[str]:
    """Return a message for each broken rule that a waiver can lift (format §7.5, rules 5 and 7)."""
    problems = []
    try:
        _refuse_expired("bundle", manifest.expires_at, now)
    except PolicyError as error:
        problems.append(error.message)
    try:
        _refuse_low_sequence(manifest, root)
    except PolicyError as error:
        problems.append(error.message)
    return problems


def find_broken_rules(
    raw: bytes, evidence: Evidence, root: Verified[Root], now: int
) -> dict[int, str]:
    """Judge a manifest by each rule of format §7.5 for itself, 1 to 9; it is not admitted by that.

    Args:
        raw: the manifest's bytes.
        evidence: what lies beside it.
        root: today's root.
        now: seconds since 1970.

    Returns:
        For each rule that applies, why it is broken; an empty text if it holds.

    Raises:
        CorruptError: it is not a manifest of this format.
    """
    trusted, manifest = root.value, manifests.decode(raw)
    bundle = bytes.fromhex(manifests.bundle_id(raw))
    rules: dict[int, Callable[[], object]] = {
        1: lambda: _refuse_expired("root", trusted.not_after, now),
        2: lambda: _require_builders(raw, evidence.envelopes, trusted),
        3: lambda: _refuse_revoked(bundle, trusted),
        4: lambda: None,  # it was decoded
        5: lambda: _refuse_expired("bundle", manifest.expires_at, now),
        6: lambda: _refuse_other_audience(manifest, trusted),
    }
    if manifest.completes is None and manifest.sealed is None:
        rules[7] = lambda: _refuse_low_sequence(manifest, trusted)
        rules[8] = lambda: _refuse_labels(manifest, trusted)
        rules[9] = lambda: _require_accepted(bundle, evidence, trusted, now)
    else:
        rules[9] = lambda: _find_attestations(bundle, evidence, trusted)
    return {number: _find_message(check) for number, check in rules.items()}


def _find_message(check: Callable[[], object]) -> str:
    try:
        check()
    except AirgapError as error:
        return error.message
    return ""


def _require_accepted(bundle: bytes, evidence: Evidence, root: Root, now: int) -> None:
    accepting = _group(_find_attestations(bundle, evidence, root))
    _require_attestations(root, (), count_demands(accepting, root, now))


def accept_waiver(
    raw: bytes, envelopes: Sequence[bytes], root: Verified[Root], now: int
) -> Verified[Waiver]:
    """Accept a waiver: signatures first, then its content (format §16).

    Raises:
        NotTrustedError: too few approvers signed it.
        PolicyError: the site has no approvers, it is for another site, or it has expired.
        CorruptError: signed, but not a waiver of this format.
    """
    trusted = root.value
    threshold, keys = trusted.threshold("approver"), trusted.signers("approver")
    if not threshold:
        raise PolicyError(
            f"Site {trusted.site} has no approvers who could sign a waiver.",
            "Ask the sender for a newer bundle.",
        )
    signers = find_valid_signers("waiver", raw, envelopes, keys)
    if len(signers) < threshold:
        raise NotTrustedError(
            f"The waiver has {len(signers)} of the {threshold} approver signatures that site"
            f" {trusted.site} requires.",
            "Have it signed by more approvers (`airgap waive FILE --key K`), and copy the .dsse"
            " files beside it as well.",
            describe_role("approver", trusted, signers),
        )
    waiver = waivers.decode(raw)
    if waiver.site != trusted.site:
        raise PolicyError(
            f"The waiver is for site {waiver.site}; this site is {trusted.site}.",
            "Ask the approvers of this site.",
        )
    _refuse_expired("waiver", waiver.expires_at, now)
    return Verified(waiver, raw, MappingProxyType({"approver": signers}), _SEAL)


def accept_root(raw: bytes, envelopes: Sequence[bytes], fingerprint: str) -> Verified[Root]:
    """Accept a root with a pinned fingerprint (format §7.4).

    Raises:
        NotTrustedError: another fingerprint, unusable keys, or not signed by its own root keys.
        CorruptError: the fingerprint matches, but it is not a root of this format.
    """
    if roots.fingerprint(raw) != fingerprint:
        raise refuse_fingerprint(fingerprint, roots.fingerprint(raw))
    root = roots.decode(raw)
    for key in root.keys:
        check_key(key)
    signers = _require_root_signers(raw, envelopes, root)
    return Verified(root, raw, MappingProxyType({"root": signers}), _SEAL)


def succeed(
    old: Verified[Root], raw: bytes, envelopes: Sequence[bytes], now: int | None
) -> Verified[Root]:
    """Accept the root that succeeds ``old`` (format §15).

    Args:
        old: the root that is trusted now. It may have expired.
        raw: the new root's bytes.
        envelopes: the new root's signatures.
        now: seconds since 1970; None if yet another root succeeds this one at once.

    Raises:
        NotTrustedError: not signed by the thresholds of both, for another site, unusable keys.
        PolicyError: not the next version, or expired although it is the last.
        CorruptError: signed by the old root's keys, but not a root of this format.
    """
    before = old.value
    _require_root_signers(raw, envelopes, before)  # before its bytes are decoded (format §15)
    new = roots.decode(raw)
    for key in new.keys:
        check_key(key)
    if new.site != before.site:
        raise NotTrustedError(
            f"The root is for site {new.site}; this machine trusts site {before.site}.",
            "Ask for the root of this site.",
        )
    _require_next_version(before.version, new.version)
    signers = _require_root_signers(raw, envelopes, new)
    if now is not None:
        _refuse_expired("root", new.not_after, now)
    return Verified(new, raw, MappingProxyType({"root": signers}), _SEAL)


def _require_root_signers(raw: bytes, envelopes: Sequence[bytes], root: Root) -> tuple[str, ...]:
    """Count the signatures over a root's bytes by the keys of ``root``: itself or the old one."""
    signers = find_valid_signers("root", raw, envelopes, root.signers("root"))
    if len(signers) < root.threshold("root"):
        raise NotTrustedError(
            f"The root has {len(signers)} of the {root.threshold('root')} signatures required from"
            f" the root keys of version {root.version}.",
            "Copy the .dsse files beside the root as well; `airgap root show` lists the missing"
            " signers. If versions lie in between, give those roots too.",
        )
    return signers


def _require_next_version(trusted: int, given: int) -> None:
    if given == trusted + 1:
        return
    if given > trusted + 1:
        missing = f"{trusted + 1} to {given - 1}" if given > trusted + 2 else f"{trusted + 1}"
        raise PolicyError(
            f"The root has version {given}; this machine trusts version {trusted}.",
            f"Give the roots in between as well: version {missing}.",
        )
    raise PolicyError(
        f"The root has version {given}, and this machine already trusts version {trusted}.",
        "A root is never replaced by an older one. If it was given to you as a newer one, ask its"
        " sender: no two roots of a site have the same version.",
    )


def _require_builders(raw: bytes, envelopes: Sequence[bytes], root: Root) -> tuple[str, ...]:
    signers = find_valid_signers("builder", raw, envelopes, root.signers("builder"))
    threshold = root.threshold("builder")
    if len(signers) < threshold:
        raise NotTrustedError(
            f"The bundle has {len(signers)} of the {threshold} builder signatures that site"
            f" {root.site} requires ({len(envelopes)} in total).",
            "Have it signed by a builder of the site's root (`airgap sign`), or check"
            " `airgap trust show`.",
            (
                *(_describe_signature(dsse.decode(raw).key_id, root) for raw in envelopes),
                *list_signers(root, signers),
            ),
        )
    return signers


def _describe_signature(key_id: str, root: Root) -> str:
    """Say whose signature it is, and whether it can count at all (format §7.6)."""
    line = f"signature by key {key_id}"
    if key_id not in root.revoked_keys:
        return line
    return f"{line}, which is revoked: it does not count, whatever time it claims"


def _find_attestations(
    bundle: bytes, evidence: Evidence, root: Root
) -> tuple[tuple[str, Attestation], ...]:
    """Return the attestations that accept the bundle; one rejection refuses it (format §14)."""
    accepting: list[tuple[str, Attestation]] = []
    for role in ATTESTING_ROLES:
        if role not in root.roles:
            continue
        pairs = evidence.attestations.get(role, ())
        attestations = find_valid_attestations(role, bundle, pairs, root.signers(role))
        rejections = [pair for pair in attestations if pair[1].decision == "reject"]
        if rejections:
            count = len({key_id for key_id, _ in rejections})
            raise PolicyError(
                f"The bundle is rejected by {count} {role}{'s' * (count > 1)} of site {root.site}.",
                "Do not import it: ask who rejected it, and ask the sender for another bundle.",
                [line for pair in rejections for line in _describe_rejection(*pair)],
            )
        accepting += attestations
    return tuple(accepting)


def _group(attestations: Sequence[tuple[str, Attestation]]) -> Accepting:
    """Group the times of attestations by role and name, then by key."""
    accepting: dict[tuple[Role, str], dict[str, list[int]]] = {}
    for key_id, attestation in attestations:
        times = accepting.setdefault((attestation.role, attestation.name), {})
        times.setdefault(key_id, []).append(attestation.time)
    return accepting


def _require_attestations(
    root: Root, builders: tuple[str, ...], counts: Sequence[DemandCount]
) -> None:
    lacking = [count for count in counts if count.missing]
    if not lacking:
        return
    missing = " and ".join(
        f"{len(count.key_ids)} of the {count.demand.threshold} {describe_demand(count.demand)}"
        for count in lacking
    )
    commands = dict.fromkeys(find_command(count.demand) for count in lacking)
    error = LackingAttestationsError(
        f"The bundle has {missing} that site {root.site} requires.",
        f"Have the missing signers run: {', '.join(commands)}.",
        list_signers(root, builders, counts),
    )
    error.builders, error.counts = builders, counts
    raise error


def _describe_rejection(key_id: str, attestation: Attestation) -> Iterator[str]:
    name = "" if attestation.is_default else f" ({attestation.name})"
    yield f"{attestation.role}{name} {key_id}"
    yield f"rejects it: {attestation.note or 'no reason given'}"


def _refuse_other_audience(manifest: Manifest, root: Root) -> None:
    if manifest.audience and root.site not in manifest.audience:
        raise PolicyError(
            f"The bundle is for {', '.join(manifest.audience)}; this site is {root.site}.",
            "Ask the sender for a bundle for this site.",
        )


def _refuse_low_sequence(manifest: Manifest, root: Root) -> None:
    minimum = root.channels.get(manifest.channel, 0)
    if manifest.sequence < minimum:
        raise PolicyError(
            f"The bundle is number {manifest.sequence} of channel {manifest.channel}; the root"
            f" accepts {minimum} and later.",
            "Ask the sender for a newer bundle.",
        )


def _refuse_labels(manifest: Manifest, root: Root) -> None:
    """Refuse a label that the site does not accept, or the lack of one (format §7.5, §7.6)."""
    rules = root.rules.labels
    if rules is None:
        return
    for name, value in manifest.labels.items():
        rule = rules.get(name)
        if rule is None or (rule.values is not None and value not in rule.values):
            raise PolicyError(
                f"Site {root.site} does not accept the bundle's label {name}: {value}.",
                "Ask the sender for a bundle for this site; `airgap trust show` lists the labels.",
            )
    for name, rule in rules.items():
        if rule.required and name not in manifest.labels:
            raise PolicyError(
                f"The bundle has no label {name}, which site {root.site} requires.",
                f"Ask the sender to export it with --label {name}=VALUE.",
            )


def _refuse_expired(document: str, until: int | None, now: int) -> None:
    if until is not None and now > until:
        raise PolicyError(
            f"The {document} expired at {format_time(until)}; this machine's clock says"
            f" {format_time(now)}.",
            f"Set the clock if it is wrong. If it is right, ask for a newer {document}.",
        )
