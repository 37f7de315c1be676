"""Roots as plain data, and what changed from one version to the next."""

from collections.abc import Sequence
from typing import Any

from airgap.flow.describe.times import format_time
from airgap.format.root import RoleKeys, Root

__all__ = ["describe_root", "format_expiry", "root_changes"]


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
    }


def root_changes(old: Root, new: Root) -> list[str]:
    """List what changed between two roots: ``+ builder key …``, ``- revoked bundle …``."""
    lines = []
    for role in dict.fromkeys((*old.roles, *new.roles)):
        before, after = (root.roles.get(role, RoleKeys((), 0)) for root in (old, new))
        lines += _changes(f"{role} key", before.key_ids, after.key_ids)
        if before.threshold != after.threshold:
            lines.append(f"threshold of {role}: {before.threshold} -> {after.threshold}")
    lines += _changes("revoked key", old.revoked_keys, new.revoked_keys)
    bundles = ([bundle.hex() for bundle in root.revoked_bundles] for root in (old, new))
    lines += _changes("revoked bundle", *bundles)
    minimums = ([f"{name} {least}" for name, least in root.channels.items()] for root in (old, new))
    lines += _changes("minimum sequence", *minimums)
    if old.not_after != new.not_after:
        lines.append(f"expires: {format_expiry(old.not_after)} -> {format_expiry(new.not_after)}")
    return lines


def format_expiry(not_after: int | None) -> str:
    """Write when a root expires (seconds since 1970), as RFC 3339 or ``never``."""
    return "never" if not_after is None else format_time(not_after)


def _changes(what: str, before: Sequence[str], after: Sequence[str]) -> list[str]:
    added = [f"+ {what} {name}" for name in after if name not in before]
    return added + [f"- {what} {name}" for name in before if name not in after]
