"""Changes to a root, which ``airgap.roots.create`` and ``change`` make (format §7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from airgap.api.arguments import StrPath
from airgap.api.edge import edge
from airgap.api.keys import PrivateKey, PublicKey, make_half
from airgap.errors import UsageError
from airgap.flow.trust.roots import find_key
from airgap.format import names, root_edits
from airgap.format.envelope import Role
from airgap.format.root import Root
from airgap.format.site_rules import Demand, LabelRule

__all__ = [
    "KeyName",
    "RootChange",
    "add_key",
    "demand",
    "forbid_options",
    "limit_label",
    "limit_trust_anchors",
    "name_key",
    "permit_options",
    "remove_demand",
    "remove_key",
    "revoke_bundle",
    "revoke_key",
    "set_expiry",
    "set_minimum_sequence",
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


def _find_key(root: Root, key: KeyName) -> str:
    if isinstance(key, PublicKey | PrivateKey):
        return key.id
    return find_key(root, str(key))
