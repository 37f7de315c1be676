"""Lines for people about roots."""

from airgap.flow.describe.root import format_expiry, revoked_line, rule_lines
from airgap.format.root import Root
from airgap.times import format_time

__all__ = ["root_lines"]


def root_lines(root: Root) -> list[str]:
    """Say for people whom a root trusts, and what it refuses."""
    lines = [f"created {_created_at(root)}, expires {format_expiry(root.not_after)}"]
    algorithms = {key.id: key.algorithm for key in root.keys}
    for role, keys in root.roles.items():
        lines.append(f"{role}: {keys.threshold} of {len(keys.key_ids)}")
        lines += [
            f"  {key_id}  {algorithms[key_id]}  {root.rules.people.get(key_id, '')}".rstrip()
            for key_id in keys.key_ids
        ]
    lines += [f"channel {name}: from sequence {least}" for name, least in root.channels.items()]
    lines += rule_lines(root)
    lines += [f"revoked key {revoked_line(root, key_id)}" for key_id in root.revoked_keys]
    lines += [f"revoked bundle {bundle.hex()}" for bundle in root.revoked_bundles]
    return lines


def _created_at(root: Root) -> str:
    return "at an unknown time" if root.created_at is None else format_time(root.created_at)
