"""Changes to a root, one at a time. Each returns a root valid by format §7.1, or is refused."""

from dataclasses import replace

from airgap.errors import AirgapError, UsageError
from airgap.format import names
from airgap.format import root as roots
from airgap.format.envelope import Role
from airgap.format.root import Key, RoleKeys, Root

__all__ = [
    "add_key",
    "next_version",
    "remove_key",
    "revoke_bundle",
    "revoke_key",
    "set_expiry",
    "set_minimum_sequence",
    "set_threshold",
    "validate",
]


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
            f"The key {key.id[:16]}… is revoked permanently.", "Make a new key for its owner."
        )
    present = root.roles.get(role, RoleKeys((), 1))
    if key.id in present.key_ids:
        raise UsageError(f"The key {key.id[:16]}… already has the role {role}.", "Nothing to do.")
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
            f"The key {key_id[:16]}… does not have the role {role} in this root.",
            "See `airgap root show`.",
        )
    changed = {**root.roles, role: _without_key(present, key_id)}
    return validate(_drop_unused_keys(replace(root, roles=changed)))


def set_threshold(root: Root, role: Role, threshold: int) -> Root:
    """Set how many distinct keys of a role must sign; 0 removes the role scanner or approver.

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


def revoke_key(root: Root, key_id: str) -> Root:
    """Take all roles away from a key permanently, for example after a theft."""
    roles = {role: _without_key(keys, key_id) for role, keys in root.roles.items()}
    revoked = tuple(sorted({*root.revoked_keys, key_id}))
    return validate(_drop_unused_keys(replace(root, roles=roles, revoked_keys=revoked)))


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
    except (AirgapError, TypeError) as error:
        raise UsageError(
            f"The root would be invalid: {error}",
            "Add keys before you raise a threshold, lower it before you remove keys, and give no"
            " key both the roles builder and approver; see `airgap root show`.",
        ) from error


def _without_key(keys: RoleKeys, key_id: str) -> RoleKeys:
    return replace(keys, key_ids=tuple(other for other in keys.key_ids if other != key_id))


def _drop_unused_keys(root: Root) -> Root:
    """Remove keys without a role."""
    used = {key_id for role in root.roles.values() for key_id in role.key_ids}
    return replace(root, keys=tuple(key for key in root.keys if key.id in used))
