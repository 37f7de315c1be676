"""Changes to a root, one at a time. Each returns a root valid by format §7.1, or is refused."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from airgap.errors import AirgapError, UsageError
from airgap.format import attestation, names
from airgap.format import root as roots
from airgap.format.attestation import DEFAULT_NAMES
from airgap.format.envelope import Role
from airgap.format.root import Key, RoleKeys, Root
from airgap.format.site_rules import (
    Demand,
    LabelRule,
    ReceiptRules,
    Recipient,
    SiteRules,
    TimestampAuthority,
    is_option_name,
)
from airgap.printable import quote

__all__ = [
    "add_authority",
    "add_key",
    "add_recipient",
    "forbid_options",
    "name_key",
    "next_version",
    "permit_options",
    "remove_authority",
    "remove_demand",
    "remove_key",
    "remove_recipient",
    "revoke_bundle",
    "revoke_key",
    "set_demand",
    "set_expiry",
    "set_label_rule",
    "set_minimum_sequence",
    "set_policy",
    "set_receipts",
    "set_threshold",
    "set_trust_anchors",
    "validate",
]

_SHORTEST_RECIPIENT: Final = 12
"""How many characters of a recipient name it at least; all of them begin with ``age1``."""


def next_version(root: Root, created_at: int) -> Root:
    """Begin the next version; ``created_at`` is in seconds since 1970."""
    return replace(root, version=root.version + 1, created_at=created_at)


def add_key(root: Root, role: Role, key: Key) -> Root:
    """Give a key a role; a role that is new in the root gets the threshold 1.

    Raises:
        UsageError: the key is revoked or has the role already, or see ``validate``.
    """
    if key.id in root.revoked_keys:
        raise UsageError(
            f"The key {key.id} is revoked permanently.", "Make a new key for its owner."
        )
    present = root.roles.get(role, RoleKeys((), 1))
    if key.id in present.key_ids:
        raise UsageError(f"The key {key.id} already has the role {role}.", "Nothing to do.")
    keys = {existing.id: existing for existing in (*root.keys, key)}
    extended = RoleKeys(tuple(sorted((*present.key_ids, key.id))), present.threshold)
    return validate(
        replace(
            root,
            keys=tuple(keys[key_id] for key_id in sorted(keys)),
            roles={**root.roles, role: extended},
        )
    )


def remove_key(root: Root, role: Role, key_id: str) -> Root:
    """Take a role away from a key; for a stolen or lost key, see ``revoke_key``.

    Raises:
        UsageError: the key does not have the role, or see ``validate``.
    """
    present = root.roles.get(role, RoleKeys((), 1))
    if key_id not in present.key_ids:
        raise UsageError(
            f"The key {key_id} does not have the role {role} in this root.",
            "See `airgap root show`.",
        )
    changed = {**root.roles, role: _without_key(present, key_id)}
    return validate(_drop_unused_keys(replace(root, roles=changed)))


def set_threshold(root: Root, role: Role, threshold: int) -> Root:
    """Set how many distinct keys of a role must sign; 0 removes a role but root and builder.

    Raises:
        UsageError: the role is not in the root or cannot be removed, or see ``validate``.
    """
    if role not in root.roles:
        raise UsageError(f"This root has no role {role}.", "Add a key with `airgap root add-key`.")
    if threshold:
        changed = {**root.roles, role: replace(root.roles[role], threshold=threshold)}
    elif role in ("root", "builder"):
        raise UsageError(
            f"The role {role} cannot be removed from a root.", "Give a threshold of at least 1."
        )
    else:
        changed = {name: keys for name, keys in root.roles.items() if name != role}
    return validate(_drop_unused_keys(replace(root, roles=changed)))


def revoke_key(root: Root, key_id: str, since: int | None = None) -> Root:
    """Let no signature by a key count any more, for example after a theft.

    Without ``since`` (seconds since 1970) it loses all roles. With it, the root keeps the key and
    its roles, so that time stamps can prove which signatures are older (format §7.6).
    """
    revoked = tuple(sorted({*root.revoked_keys, key_id}))
    if since is not None:
        times = {**root.rules.revoked_since, key_id: since}
        rules = replace(root.rules, revoked_since=times)
        return validate(replace(root, revoked_keys=revoked, rules=rules))
    roles = {role: _without_key(keys, key_id) for role, keys in root.roles.items()}
    times = {key: time for key, time in root.rules.revoked_since.items() if key != key_id}
    rules = replace(root.rules, revoked_since=times)
    changed = replace(root, roles=roles, revoked_keys=revoked, rules=rules)
    return validate(_drop_unused_keys(changed))


def forbid_options(root: Root, options: Sequence[str]) -> Root:
    """Let no machine of the site accept these options (``allow-unsigned``, ``http``, ``all``).

    Raises:
        UsageError: not the name of an option, or see ``validate``.
    """
    for option in options:
        if not is_option_name(option) or option.startswith(("insecure-", "insecure_")):
            raise UsageError(
                f"{quote(option)} is not the name of a forbidden option.",
                "Write what follows 'insecure-' in its name, such as allow-unsigned; or all.",
            )
    forbidden = tuple(sorted({*root.rules.forbidden_options, *options}))
    return _with_rules(root, replace(root.rules, forbidden_options=forbidden))


def permit_options(root: Root, options: Sequence[str]) -> Root:
    """Forbid these options no longer.

    Raises:
        UsageError: one is not forbidden.
    """
    idle = sorted(set(options) - set(root.rules.forbidden_options))
    if idle:
        raise UsageError(f"The root does not forbid {quote(idle[0])}.", "See `airgap root show`.")
    kept = tuple(other for other in root.rules.forbidden_options if other not in options)
    return _with_rules(root, replace(root.rules, forbidden_options=kept))


def set_demand(root: Root, demand: Demand) -> Root:
    """Demand an attestation; by the default name of its role, this sets the role's threshold.

    Raises:
        UsageError: not a name for an attestation, or see ``validate``.
    """
    if not attestation.is_name(demand.name):
        raise UsageError(
            f"{quote(demand.name)} cannot name an attestation.",
            "Use at most 11 lower-case letters, digits and '-', with a letter first.",
        )
    is_default = demand.name == DEFAULT_NAMES[demand.role]
    if is_default and demand.role in root.roles:
        keys = replace(root.roles[demand.role], threshold=demand.threshold)
        root = replace(root, roles={**root.roles, demand.role: keys})
    others = [other for other in root.rules.demands if other.name != demand.name]
    if not is_default or demand.max_age is not None:
        others.append(demand)
    demands = tuple(sorted(others, key=lambda other: other.name))
    return _with_rules(root, replace(root.rules, demands=demands))


def remove_demand(root: Root, name: str) -> Root:
    """Demand an attestation no longer; by the default name of a role, its threshold becomes 0.

    Raises:
        UsageError: it is not demanded.
    """
    if all(demand.name != name for demand in root.demands()):
        raise UsageError(f"The root does not demand {quote(name)}.", "See `airgap root show`.")
    roles = {
        role: replace(keys, threshold=0) if DEFAULT_NAMES.get(role) == name else keys
        for role, keys in root.roles.items()
    }
    others = tuple(other for other in root.rules.demands if other.name != name)
    rules = replace(root.rules, demands=others)
    return _with_rules(replace(root, roles=roles), rules)


def name_key(root: Root, key_id: str, person: str) -> Root:
    """Say whose key it is; an empty name says nothing any more.

    Raises:
        UsageError: see ``validate``.
    """
    people = {**root.rules.people, key_id: person}
    people = {key: name for key, name in people.items() if name}
    return _with_rules(root, replace(root.rules, people=people))


def set_label_rule(root: Root, label: str, rule: LabelRule | None) -> Root:
    """Accept this label of manifests, and no label without a rule; None removes the rule.

    Without any rule, every label is accepted again.

    Raises:
        UsageError: see ``validate``.
    """
    labels = dict(root.rules.labels or {})
    if rule is None:
        labels.pop(label, None)
    else:
        labels[label] = rule
    return _with_rules(root, replace(root.rules, labels=labels or None))


def set_trust_anchors(root: Root, options: Sequence[str] | None) -> Root:
    """Let config files of the site use only these options to recognize servers; None: any."""
    anchors = None if options is None else tuple(sorted(set(options)))
    return _with_rules(root, replace(root.rules, trust_anchors=anchors))


def add_recipient(root: Root, recipient: Recipient) -> Root:
    """Encrypt sealed bundles to this recipient too; one that is there gets label and purpose.

    Raises:
        UsageError: not an age recipient, or a label that cannot be one.
    """
    others = [one for one in root.rules.recipients if one.recipient != recipient.recipient]
    changed = tuple(sorted([*others, recipient], key=lambda one: one.recipient))
    return _with_rules(root, replace(root.rules, recipients=changed))


def remove_recipient(root: Root, text: str) -> Root:
    """Encrypt to a recipient no longer; ``text`` is it, its beginning, or its label.

    Raises:
        UsageError: no recipient of the root, or several, match.
    """
    matches = [one for one in root.rules.recipients if text in (one.recipient, one.label)]
    if not matches and len(text) >= _SHORTEST_RECIPIENT:
        matches = [one for one in root.rules.recipients if one.recipient.startswith(text)]
    if len(matches) != 1:
        raise UsageError(
            f"{quote(text)} matches {len(matches)} recipients of this root.",
            "Give the whole recipient, as `airgap root show` prints it.",
        )
    kept = tuple(one for one in root.rules.recipients if one != matches[0])
    return _with_rules(root, replace(root.rules, recipients=kept))


def add_authority(root: Root, authority: TimestampAuthority) -> Root:
    """Let the time stamps of an authority count; one that is there gets these times.

    Raises:
        UsageError: it begins after its end, or see ``validate``.
    """
    start, end = authority.start, authority.end
    if start is not None and end is not None and start > end:
        raise UsageError("The authority begins after its end.", "Exchange --from and --until.")
    authorities = root.rules.timestamp_authorities
    others = [one for one in authorities if one.certificate != authority.certificate]
    changed = tuple(sorted([*others, authority], key=lambda one: one.certificate))
    return _with_rules(root, replace(root.rules, timestamp_authorities=changed))


def remove_authority(root: Root, certificate: bytes) -> Root:
    """Let no time stamp of an authority count any more, the earlier ones included.

    ``certificate`` is the SHA-256 of its certificate.

    Raises:
        UsageError: the root does not name it.
    """
    authorities = root.rules.timestamp_authorities
    kept = tuple(one for one in authorities if one.certificate != certificate)
    if len(kept) == len(authorities):
        raise UsageError(
            f"The root does not name the authority {certificate.hex()}.",
            "See `airgap root show`.",
        )
    return _with_rules(root, replace(root.rules, timestamp_authorities=kept))


def set_policy(root: Root, name: str, digest: bytes | None) -> Root:
    """Say which policy file the site uses, by its SHA-256; None: it uses none of this name.

    Raises:
        UsageError: not a name for a policy, or there is none to remove.
    """
    if not attestation.is_name(name):
        raise UsageError(
            f"{quote(name)} cannot name a policy.",
            "Use at most 11 lower-case letters, digits and '-', with a letter first.",
        )
    if digest is None and name not in root.rules.policies:
        raise UsageError(f"The root names no policy {name}.", "See `airgap root show`.")
    policies = {**root.rules.policies, **({} if digest is None else {name: digest})}
    if digest is None:
        del policies[name]
    return _with_rules(root, replace(root.rules, policies=policies))


def set_receipts(root: Root, approvals: int | None = None, *, notes: bool | None = None) -> Root:
    """Say how many approvers sign a receipt before it may leave, and whether it may have free text.

    None leaves what the root says.

    Raises:
        UsageError: the root has fewer approvers.
    """
    old = root.rules.receipts
    rule = ReceiptRules(
        old.approvals if approvals is None else approvals, old.notes if notes is None else notes
    )
    return _with_rules(root, replace(root.rules, receipts=rule))


def revoke_bundle(root: Root, bundle: bytes) -> Root:
    """Refuse a bundle permanently, whatever its signatures; ``bundle`` is its id as 32 bytes."""
    return validate(replace(root, revoked_bundles=tuple(sorted({*root.revoked_bundles, bundle}))))


def set_minimum_sequence(root: Root, channel: str, minimum: int) -> Root:
    """Refuse bundles of a channel below this sequence.

    Raises:
        UsageError: not a channel name, or see ``validate``.
    """
    if not names.is_tag_part(channel):
        raise UsageError(
            f"{channel!r} is not a valid channel name.",
            "Use lower-case letters, digits, '-', '_', '.'.",
        )
    return validate(replace(root, channels={**root.channels, channel: minimum}))


def set_expiry(root: Root, not_after: int | None) -> Root:
    """Let the root admit nothing after this time (seconds since 1970); None: no expiry."""
    return validate(replace(root, not_after=not_after))


def validate(root: Root) -> Root:
    """Return the root if it is valid (format §7.1).

    Raises:
        UsageError: it is not.
    """
    try:
        return roots.decode(roots.encode(root))
    except (AirgapError, TypeError, ValueError) as error:
        raise UsageError(
            f"The root would be invalid: {error}",
            "Add keys before you raise a threshold, lower it before you remove keys, and give no"
            " key both the roles builder and approver; see `airgap root show`.",
        ) from error


def _without_key(keys: RoleKeys, key_id: str) -> RoleKeys:
    return replace(keys, key_ids=tuple(other for other in keys.key_ids if other != key_id))


def _with_rules(root: Root, rules: SiteRules) -> Root:
    return validate(replace(root, rules=rules))


def _drop_unused_keys(root: Root) -> Root:
    """Remove keys without a role, and their owners' names unless they are revoked."""
    used = {key_id for role in root.roles.values() for key_id in role.key_ids}
    named = {*used, *root.revoked_keys}
    people = {key_id: name for key_id, name in root.rules.people.items() if key_id in named}
    return replace(
        root,
        keys=tuple(key for key in root.keys if key.id in used),
        rules=replace(root.rules, people=people),
    )
