"""The decision to trust (format §7.2 to §7.5, §14 to §16). Only this makes a ``Verified`` value.

Done here: signatures, thresholds, revocation, and only then decoding; audience, expiry, minimum
sequence, attestations, waivers. Left to the caller: that the bundle is not a replay, and that packs
and files are those that the manifest names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from airgap.errors import AirgapError, NotTrustedError, PolicyError
from airgap.format import envelope as dsse
from airgap.format import manifest as manifests
from airgap.format import root as roots
from airgap.format import waiver as waivers
from airgap.format.attestation import ATTESTING_ROLES, Attestation
from airgap.format.envelope import Role
from airgap.format.manifest import Manifest
from airgap.format.root import Root
from airgap.format.waiver import Waiver
from airgap.signing.public_keys import check_key
from airgap.signing.thresholds import Evidence, find_valid_attestations, find_valid_signers

__all__ = [
    "Verified",
    "accept_root",
    "accept_waiver",
    "admit",
    "decode_if_signed",
    "describe_signers",
    "find_waivable_problems",
    "succeed",
]

T = TypeVar("T")
_SEAL: Final = object()
_COMMANDS: Final[Mapping[Role, str]] = MappingProxyType(
    {
        "scanner": "`airgap attest SRC --role scanner --findings FILE --key K`",
        "approver": "`airgap approve SRC --key K`",
    }
)


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A value whose bytes were signed as the site demands. Only this module can make one.

    ``signers`` holds the ids of the keys that were counted, by role.
    """

    value: T
    raw: bytes
    signers: Mapping[Role, tuple[str, ...]]
    seal: object = None

    def __post_init__(self) -> None:
        """Refuse to be made elsewhere."""
        if self.seal is not _SEAL:
            raise TypeError("a Verified value is made by airgap.signing.trust alone")


def admit(
    raw: bytes,
    evidence: Evidence,
    root: Verified[Root],
    now: int,
    waiver: Verified[Waiver] | None = None,
) -> Verified[Manifest]:
    """Admit a manifest: signatures first, then its content (format §7.5, rules 1 to 8).

    Args:
        raw: the manifest's bytes, as they were read; they are not read again.
        evidence: the builders' envelopes, and the attestations with theirs.
        root: the site's pinned root.
        now: seconds since 1970.
        waiver: what may excuse the bundle's age (format §16); one for another bundle does not.

    Raises:
        NotTrustedError: too few builders signed these bytes, the bundle is revoked, or a
            signature is not what it claims to be.
        PolicyError: expired, not for this site, below the channel's minimum sequence, rejected,
            or accepted by too few scanners or approvers.
        CorruptError: signed, but not a manifest of this format.
    """
    trusted = root.value
    _refuse_expired("root", trusted.not_after, now)
    builders = _builders(raw, evidence.envelopes, trusted)
    bundle = bytes.fromhex(manifests.bundle_id(raw))
    if bundle in trusted.revoked_bundles:
        raise NotTrustedError(
            "The site's root revokes this bundle.", "Ask the sender for a newer bundle."
        )
    manifest = manifests.decode(raw)
    if waiver is None or waiver.value.bundle != bundle:
        _refuse_expired("bundle", manifest.expires_at, now)
    _refuse_others(manifest, trusted)
    if waiver is None or waiver.value.bundle != bundle:
        _refuse_low(manifest, trusted)
    signers = {"builder": builders, **_accepting(bundle, evidence, trusted)}
    _demand_attestations(trusted, signers)
    return Verified(manifest, raw, MappingProxyType(signers), _SEAL)


def decode_if_signed(
    raw: bytes, envelopes: Sequence[bytes], root: Verified[Root]
) -> Manifest | None:
    """Return what enough builders signed, admitted or not; None: they did not, or it is damaged."""
    try:
        _builders(raw, envelopes, root.value)
        return manifests.decode(raw)
    except AirgapError:
        return None


def find_waivable_problems(manifest: Manifest, root: Root, now: int) -> list[str]:
    """Say what a waiver may lift of these rules, and is so (format §7.5, rules 5 and 7)."""
    told = []
    try:
        _refuse_expired("bundle", manifest.expires_at, now)
    except PolicyError as error:
        told.append(error.message)
    try:
        _refuse_low(manifest, root)
    except PolicyError as error:
        told.append(error.message)
    return told


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
    needed, keys = trusted.threshold("approver"), trusted.signers("approver")
    if not needed:
        raise PolicyError(
            f"Site {trusted.site} has no approvers, so nobody can waive a rule of it.",
            "Ask the sender for a newer bundle.",
        )
    signers = find_valid_signers("waiver", raw, envelopes, keys)
    if len(signers) < needed:
        raise NotTrustedError(
            f"The waiver has {len(signers)} of the {needed} approver signatures that site"
            f" {trusted.site} demands.",
            "Have it signed by more approvers (`airgap waive FILE --key K`), and copy the .dsse"
            " files that lie beside it as well.",
            [_standing_of("approver", trusted, signers)],
        )
    waiver = waivers.decode(raw)
    if waiver.site != trusted.site:
        raise PolicyError(
            f"The waiver is for site {waiver.site}; this site is {trusted.site}.",
            "Ask the approvers of this site.",
        )
    _refuse_expired("waiver", waiver.expires_at, now)
    return Verified(waiver, raw, MappingProxyType({"approver": signers}), _SEAL)


def describe_signers(root: Root, signers: Mapping[Role, tuple[str, ...]]) -> list[str]:
    """Say for each role that a bundle needs who has signed it, and who still may."""
    return [
        _standing_of(role, root, signers[role])
        for role in ("builder", *ATTESTING_ROLES)
        if role in root.roles and role in signers
    ]


def accept_root(raw: bytes, envelopes: Sequence[bytes], fingerprint: str) -> Verified[Root]:
    """Accept a root that is pinned by a fingerprint (format §7.4).

    Raises:
        NotTrustedError: another fingerprint, unusable keys, or not signed by its own root keys.
        CorruptError: the fingerprint fits, but it is not a root of this format.
    """
    if roots.fingerprint(raw) != fingerprint:
        raise NotTrustedError(
            f"The root has the fingerprint {roots.fingerprint(raw)}, not {fingerprint}.",
            "Compare the fingerprint with the one you were given on paper or by phone;"
            " if they differ, the root file is not the one that was meant.",
        )
    root = roots.decode(raw)
    for key in root.keys:
        check_key(key)
    signers = _root_signers(raw, envelopes, root)
    return Verified(root, raw, MappingProxyType({"root": signers}), _SEAL)


def succeed(
    old: Verified[Root], raw: bytes, envelopes: Sequence[bytes], now: int | None
) -> Verified[Root]:
    """Accept the root that takes over from ``old`` (format §15).

    Args:
        old: the root that is trusted now. That it may have expired is no matter.
        raw: the new root's bytes.
        envelopes: the signatures that lie beside it.
        now: seconds since 1970, or None if another root is to take over from this one at once.

    Raises:
        NotTrustedError: not signed by the thresholds of both, for another site, unusable keys.
        PolicyError: not the version that follows, or expired and the last.
        CorruptError: signed by the old root's keys, but not a root of this format.
    """
    before = old.value
    _root_signers(raw, envelopes, before)  # before its bytes are decoded (format §15)
    new = roots.decode(raw)
    for key in new.keys:
        check_key(key)
    if new.site != before.site:
        raise NotTrustedError(
            f"The root is for site {new.site}; this machine trusts site {before.site}.",
            "Ask for the root of this site.",
        )
    _demand_next_version(before.version, new.version)
    signers = _root_signers(raw, envelopes, new)
    if now is not None:
        _refuse_expired("root", new.not_after, now)
    return Verified(new, raw, MappingProxyType({"root": signers}), _SEAL)


def _root_signers(raw: bytes, envelopes: Sequence[bytes], judge: Root) -> tuple[str, ...]:
    """Count the signatures over a root's bytes by the rules of ``judge``: itself or the old one."""
    signers = find_valid_signers("root", raw, envelopes, judge.signers("root"))
    if len(signers) < judge.threshold("root"):
        raise NotTrustedError(
            f"The root has {len(signers)} of the {judge.threshold('root')} signatures that the"
            f" root keys of version {judge.version} must give.",
            "Copy the .dsse files that lie beside the root as well; `airgap root show` says who"
            " still has to sign, and versions in between must be given too.",
        )
    return signers


def _demand_next_version(trusted: int, given: int) -> None:
    if given == trusted + 1:
        return
    if given > trusted + 1:
        missing = f"{trusted + 1} to {given - 1}" if given > trusted + 2 else f"{trusted + 1}"
        raise PolicyError(
            f"The root has version {given}; this machine trusts version {trusted}.",
            f"Give the roots between them as well: version {missing}.",
        )
    raise PolicyError(
        f"The root has version {given}, and this machine trusts version {trusted} already.",
        "Nothing goes back to an older root. If it was given to you as a newer one, ask its"
        " sender: no two roots of a site have the same version.",
    )


def _builders(raw: bytes, envelopes: Sequence[bytes], root: Root) -> tuple[str, ...]:
    signers = find_valid_signers("builder", raw, envelopes, root.signers("builder"))
    needed = root.threshold("builder")
    if len(signers) < needed:
        raise NotTrustedError(
            f"The bundle has {len(signers)} of the {needed} builder signatures that site"
            f" {root.site} demands ({len(envelopes)} in total).",
            "Have it signed by a builder that the root names (`airgap sign`), or check"
            " `airgap trust show`.",
            (
                *(f"signature by key {dsse.decode(one).key_id[:16]}…" for one in envelopes),
                *describe_signers(root, {"builder": signers}),
            ),
        )
    return signers


def _accepting(bundle: bytes, evidence: Evidence, root: Root) -> dict[Role, tuple[str, ...]]:
    """Return who accepts the bundle, by role; one rejection refuses it (format §14)."""
    accepting: dict[Role, tuple[str, ...]] = {}
    for role in ATTESTING_ROLES:
        if role in root.roles:
            pairs = evidence.attestations.get(role, ())
            said = find_valid_attestations(role, bundle, pairs, root.signers(role))
            rejections = [_rejection(*one) for one in said if one[1].decision == "reject"]
            if rejections:
                raise PolicyError(
                    f"The bundle is rejected by {len(rejections)} {role} of site {root.site}.",
                    "Do not import it: ask who rejected it, and the sender for a better bundle.",
                    rejections,
                )
            accepting[role] = tuple(sorted({key_id for key_id, _ in said}))
    return accepting


def _demand_attestations(root: Root, signers: Mapping[Role, tuple[str, ...]]) -> None:
    lacking = [one for one in ATTESTING_ROLES if len(signers.get(one, ())) < root.threshold(one)]
    if not lacking:
        return
    told = " and ".join(
        f"{len(signers[role])} of the {root.threshold(role)} {role} signatures" for role in lacking
    )
    raise PolicyError(
        f"The bundle has {told} that site {root.site} demands.",
        f"Have those who are named below sign it: {', '.join(_COMMANDS[one] for one in lacking)}.",
        describe_signers(root, signers),
    )


def _standing_of(role: Role, root: Root, signed: tuple[str, ...]) -> str:
    needed, keys = root.threshold(role), root.signers(role)
    line = f"{role}: {len(signed)} of {needed}"
    if signed:
        line += f", signed by {', '.join(one[:16] + '…' for one in signed)}"
    if len(signed) < needed:
        others = sorted(keys.keys() - set(signed))
        line += f"; {needed - len(signed)} more of {', '.join(one[:16] + '…' for one in others)}"
    return line


def _rejection(key_id: str, said: Attestation) -> str:
    return f"{said.role} {key_id[:16]}… rejects it: {said.note or 'no reason given'}"


def _refuse_others(manifest: Manifest, root: Root) -> None:
    if manifest.audience and root.site not in manifest.audience:
        raise PolicyError(
            f"The bundle is for {', '.join(manifest.audience)}; this site is {root.site}.",
            "Ask the sender for a bundle for this site.",
        )


def _refuse_low(manifest: Manifest, root: Root) -> None:
    minimum = root.channels.get(manifest.channel, 0)
    if manifest.sequence < minimum:
        raise PolicyError(
            f"The bundle is number {manifest.sequence} of channel {manifest.channel}; the root"
            f" accepts {minimum} and later.",
            "Ask the sender for a newer bundle.",
        )


def _refuse_expired(what: str, until: int | None, now: int) -> None:
    if until is not None and now > until:
        raise PolicyError(
            f"The {what} has expired.", f"Check this machine's clock, or ask for a newer {what}."
        )
