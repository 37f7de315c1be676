"""Changes to a root, which ``airgap.roots.create`` and ``change`` make (format §7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.keys import PrivateKey, PublicKey, make_half
from airgap.errors import UsageError
from airgap.flow.trust.authorities import (
    digest_policy,
    find_authority,
    read_certificate_digest,
)
from airgap.flow.trust.roots import find_key
from airgap.format import names, root_edits
from airgap.format.envelope import Role
from airgap.format.root import Root
from airgap.format.site_rules import Demand, LabelRule, Recipient, TimestampAuthority

__all__ = [
    "KeyName",
    "RootChange",
    "add_authority",
    "add_key",
    "add_recipient",
    "demand",
    "forbid_options",
    "limit_label",
    "limit_trust_anchors",
    "name_key",
    "permit_options",
    "remove_authority",
    "remove_demand",
    "remove_key",
    "remove_recipient",
    "revoke_bundle",
    "revoke_key",
    "set_expiry",
    "set_minimum_sequence",
    "set_policy",
    "set_receipts",
    "set_threshold",
]

KeyName = StrPath | PublicKey | PrivateKey
"""A key of a root: an object, a ``NAME.pub``, a key id, or at least its first 8 digits."""


@dataclass(frozen=True, slots=True)
class RootChange:
    """A change that was not made yet. What it refuses is raised when it is made."""

    name: str
    """The function that made it."""
    apply: Callable[[Root], Root] = field(repr=False)
    """Makes the change."""


@edge
def add_key(role: Role, key: KeyName) -> RootChange:
    """Give a key a role.

    Args:
        role: ``root``, ``builder``, ``scanner``, ``approver``, ``recorder`` or ``witness``.
        key: an object of ``airgap.keys``, or a ``NAME.pub``.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    half = make_half(key)
    return RootChange("add_key", lambda root: root_edits.add_key(root, role, half))


@edge
def remove_key(role: Role, key: KeyName) -> RootChange:
    """Take a role away from a key."""
    return RootChange(
        "remove_key", lambda root: root_edits.remove_key(root, role, _find_key(root, key))
    )


@edge
def revoke_key(key: KeyName, *, since: int | None = None) -> RootChange:
    """Let no signature by a key count any more.

    Args:
        key: the key.
        since: keep it, and revoke it from this time on, in seconds since 1970.
    """
    return RootChange(
        "revoke_key", lambda root: root_edits.revoke_key(root, _find_key(root, key), since)
    )


@edge
def name_key(key: KeyName, person: str) -> RootChange:
    """Say whose key it is; an empty name says nothing any more."""
    return RootChange(
        "name_key", lambda root: root_edits.name_key(root, _find_key(root, key), person)
    )


@edge
def revoke_bundle(bundle: str) -> RootChange:
    """Refuse a bundle for good, also if it is signed; ``bundle`` is its id, all 64 digits.

    Raises:
        UsageError: it does not have the form of a bundle id.
    """
    if not names.is_bundle_id(bundle.lower()):
        raise UsageError(f"{bundle!r} is not a bundle id.", "Give all its 64 hex digits.")
    revoked = bytes.fromhex(bundle)
    return RootChange("revoke_bundle", lambda root: root_edits.revoke_bundle(root, revoked))


@edge
def set_threshold(role: Role, threshold: int) -> RootChange:
    """Set how many keys of a role must sign; 0 removes a role other than root and builder."""
    return RootChange("set_threshold", lambda root: root_edits.set_threshold(root, role, threshold))


@edge
def set_expiry(not_after: int | None) -> RootChange:
    """Let the root admit nothing after this time, in seconds since 1970; None: no end."""
    return RootChange("set_expiry", lambda root: root_edits.set_expiry(root, not_after))


@edge
def set_minimum_sequence(channel: str, minimum: int) -> RootChange:
    """Refuse bundles of a channel below this number."""
    return RootChange(
        "set_minimum_sequence",
        lambda root: root_edits.set_minimum_sequence(root, channel, minimum),
    )


@edge
def demand(name: str, role: Role, threshold: int = 1, *, max_age: int | None = None) -> RootChange:
    """Demand an attestation of every bundle.

    Args:
        name: what is attested, such as ``malware`` or ``licence``.
        role: ``scanner`` or ``approver``.
        threshold: how many keys must accept.
        max_age: how old it may be, in seconds; None: any age.

    Raises:
        UsageError: keys of this role do not attest.
    """
    if role not in ("scanner", "approver"):
        raise UsageError(f"A {role} attests nothing.", "Give the role scanner or approver.")
    wanted = Demand(name, role, threshold, max_age)
    return RootChange("demand", lambda root: root_edits.set_demand(root, wanted))


@edge
def remove_demand(name: str) -> RootChange:
    """Demand an attestation no longer."""
    return RootChange("remove_demand", lambda root: root_edits.remove_demand(root, name))


@edge
def forbid_options(*options: str) -> RootChange:
    """Let no machine of the site accept these ``insecure-`` options, named without that word."""
    return RootChange("forbid_options", lambda root: root_edits.forbid_options(root, options))


@edge
def permit_options(*options: str) -> RootChange:
    """Forbid these options no longer."""
    return RootChange("permit_options", lambda root: root_edits.permit_options(root, options))


@edge
def limit_label(
    label: str, values: Sequence[str] = (), *, required: bool = False, lift: bool = False
) -> RootChange:
    """Accept a label with one of these values only, and no label without such a rule.

    Args:
        label: its name.
        values: those that are accepted; empty: any.
        required: whether every bundle must have it.
        lift: remove the rule instead.
    """
    rule = None if lift else LabelRule(tuple(sorted(set(values))) or None, required)
    return RootChange("limit_label", lambda root: root_edits.set_label_rule(root, label, rule))


@edge
def limit_trust_anchors(options: Sequence[str] | None) -> RootChange:
    """Let config files of the site use only these options to recognize servers; None: any."""
    return RootChange(
        "limit_trust_anchors", lambda root: root_edits.set_trust_anchors(root, options)
    )


@edge
def add_recipient(
    recipient: str, label: str, purpose: Literal["site", "escrow", "gate"] = "site"
) -> RootChange:
    """Encrypt sealed bundles to a recipient too.

    Args:
        recipient: ``age1…``; one that is in the root gets the label and the purpose.
        label: whose it is, for people: at most 64 characters.
        purpose: who opens sealed bundles with it.
    """
    new = Recipient(recipient, label, purpose)
    return RootChange("add_recipient", lambda root: root_edits.add_recipient(root, new))


@edge
def remove_recipient(recipient: str) -> RootChange:
    """Encrypt sealed bundles to a recipient (it, its beginning, or its label) no longer."""
    return RootChange("remove_recipient", lambda root: root_edits.remove_recipient(root, recipient))


@edge
def add_authority(
    certificate: StrPath, *, start: int | None = None, end: int | None = None
) -> RootChange:
    """Let the time stamps of an authority count.

    Args:
        certificate: the file of the self-signed certificate at the top of its chain, PEM or DER.
        start: count no stamp from before, in seconds since 1970; None: no limit.
        end: count no stamp from after, in seconds since 1970; None: no limit.

    Raises:
        UsageError: the file does not hold exactly one certificate, or not a self-signed one.
        MissingError: the file does not exist.
    """
    authority = TimestampAuthority(read_certificate_digest(Path(certificate)), start, end)
    return RootChange("add_authority", lambda root: root_edits.add_authority(root, authority))


@edge
def remove_authority(certificate: StrPath) -> RootChange:
    """Let no time stamp of an authority count: its certificate's file, SHA-256 or first digits."""
    return RootChange(
        "remove_authority",
        lambda root: root_edits.remove_authority(root, find_authority(root, str(certificate))),
    )


@edge
def set_policy(name: str, policy: StrPath | None) -> RootChange:
    """Say which policy file the site uses for ``name``, by its SHA-256; None: none any more.

    Raises:
        MissingError: the file does not exist.
    """
    digest = None if policy is None else digest_policy(Path(policy))
    return RootChange("set_policy", lambda root: root_edits.set_policy(root, name, digest))


@edge
def set_receipts(*, approvals: int | None = None, notes: bool | None = None) -> RootChange:
    """Say what a receipt of an import needs before it may leave; None leaves what the root says.

    Args:
        approvals: how many approvers must sign it.
        notes: whether it may have free text.
    """
    return RootChange(
        "set_receipts", lambda root: root_edits.set_receipts(root, approvals, notes=notes)
    )


def _find_key(root: Root, key: KeyName) -> str:
    if isinstance(key, PublicKey | PrivateKey):
        return key.id
    return find_key(root, str(key))
