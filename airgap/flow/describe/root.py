"""Roots as plain data, and what changed from one version to the next."""

from collections.abc import Sequence
from typing import Any

from airgap.format.root import RoleKeys, Root
from airgap.format.site_rules import Demand, LabelRule, format_age
from airgap.times import format_time

__all__ = ["describe_root", "format_expiry", "revoked_line", "root_changes", "rule_lines"]


def describe_root(root: Root) -> dict[str, Any]:
    """Describe a root. Times as RFC 3339."""
    return {
        "site": root.site,
        "version": root.version,
        "created_at": None if root.created_at is None else format_time(root.created_at),
        "expires_at": None if root.not_after is None else format_time(root.not_after),
        "roles": {
            role: {"threshold": keys.threshold, "keys": list(keys.key_ids)}
            for role, keys in root.roles.items()
        },
        "algorithms": {key.id: key.algorithm for key in root.keys},
        "minimum_sequences": dict(root.channels),
        "revoked_keys": list(root.revoked_keys),
        "revoked_bundles": [bundle.hex() for bundle in root.revoked_bundles],
        **_describe_rules(root),
    }


def rule_lines(root: Root) -> list[str]:
    """Write what only a root of format 2 says (format §7.6), one thing on each line."""
    rules = root.rules
    lines = [_demand_line(demand) for demand in rules.demands]
    lines += [f"forbids insecure-{option}" for option in rules.forbidden_options]
    if rules.labels is not None:
        lines += [_label_line(label, rule) for label, rule in rules.labels.items()]
        lines.append("accepts no other label")
    if rules.trust_anchors is not None:
        options = ", ".join(rules.trust_anchors) or "none"
        lines.append(f"options that may recognize servers: {options}")
    lines += [f"policy {name} sha256:{digest.hex()}" for name, digest in rules.policies.items()]
    if rules.receipts.approvals or rules.receipts.notes:
        notes = "with" if rules.receipts.notes else "without"
        lines.append(f"receipts need {rules.receipts.approvals} approvals, {notes} free text")
    lines += [f"recipient ({one.purpose}) {one.label}: {one.recipient}" for one in rules.recipients]
    for one in rules.timestamp_authorities:
        start, end = ("-" if at is None else format_time(at) for at in (one.start, one.end))
        lines.append(
            f"time-stamping authority sha256:{one.certificate.hex()} from {start} to {end}"
        )
    return lines


def root_changes(old: Root, new: Root) -> list[str]:
    """List what changed between two roots: ``+ builder key …``, ``- revoked bundle …``."""
    lines = []
    for role in dict.fromkeys((*old.roles, *new.roles)):
        before, after = (root.roles.get(role, RoleKeys((), 0)) for root in (old, new))
        lines += _changes(f"{role} key", before.key_ids, after.key_ids)
        if before.threshold != after.threshold:
            lines.append(f"threshold of {role}: {before.threshold} -> {after.threshold}")
    lines += _changes(
        "revoked key",
        *([revoked_line(root, key) for key in root.revoked_keys] for root in (old, new)),
    )
    bundles = ([bundle.hex() for bundle in root.revoked_bundles] for root in (old, new))
    lines += _changes("revoked bundle", *bundles)
    minimums = ([f"{name} {least}" for name, least in root.channels.items()] for root in (old, new))
    lines += _changes("minimum sequence", *minimums)
    lines += _changes("rule:", rule_lines(old), rule_lines(new))
    people = (
        [f"{key_id} is {name}" for key_id, name in root.rules.people.items()] for root in (old, new)
    )
    lines += _changes("key", *people)
    if old.not_after != new.not_after:
        lines.append(f"expires: {format_expiry(old.not_after)} -> {format_expiry(new.not_after)}")
    return lines


def revoked_line(root: Root, key_id: str) -> str:
    """Write a revoked key, and since when it is revoked, if the root says so."""
    since = root.rules.revoked_since.get(key_id)
    return key_id if since is None else f"{key_id} since {format_time(since)}"


def format_expiry(not_after: int | None) -> str:
    """Write when a root expires (seconds since 1970), as RFC 3339 or ``never``."""
    return "never" if not_after is None else format_time(not_after)


def _changes(what: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    added = [f"+ {what} {name}" for name in after if name not in before]
    return added + [f"- {what} {name}" for name in before if name not in after]


def _describe_rules(root: Root) -> dict[str, Any]:
    rules = root.rules
    return {
        "format": root.format,
        "demands": [
            {
                "name": demand.name,
                "role": demand.role,
                "threshold": demand.threshold,
                "max_age": demand.max_age,
            }
            for demand in root.demands()
        ],
        "forbidden_options": list(rules.forbidden_options),
        "labels": None
        if rules.labels is None
        else {
            label: {
                "values": None if rule.values is None else list(rule.values),
                "required": rule.required,
            }
            for label, rule in rules.labels.items()
        },
        "people": dict(rules.people),
        "revoked_since": {key: format_time(since) for key, since in rules.revoked_since.items()},
        "trust_anchors": None if rules.trust_anchors is None else list(rules.trust_anchors),
        "policies": {name: f"sha256:{digest.hex()}" for name, digest in rules.policies.items()},
        "receipts": {"approvals": rules.receipts.approvals, "notes": rules.receipts.notes},
        "recipients": [
            {"recipient": one.recipient, "label": one.label, "purpose": one.purpose}
            for one in rules.recipients
        ],
        "timestamp_authorities": [
            {
                "certificate": f"sha256:{one.certificate.hex()}",
                "from": None if one.start is None else format_time(one.start),
                "until": None if one.end is None else format_time(one.end),
            }
            for one in rules.timestamp_authorities
        ],
    }


def _demand_line(demand: Demand) -> str:
    line = f"demands {demand.name} by {demand.threshold} of {demand.role}"
    return line if demand.max_age is None else f"{line}, of the last {format_age(demand.max_age)}"


def _label_line(label: str, rule: LabelRule) -> str:
    values = "any value" if rule.values is None else ", ".join(rule.values)
    return f"accepts label {label}: {values}{'; required' if rule.required else ''}"
