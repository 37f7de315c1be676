"""Changes to a root, one at a time; each gives a root that obeys format §7.1 or is refused."""

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
    """Begin the version that follows; ``created_at`` is in seconds since 1970."""
    return replace(root, version=root.version + 1, created_at=created_at)


def add_key(root: Root, role: Role, key: Key) -> Root:
    """Give a key a role; a role that the root does not have yet begins with threshold 1."""
    if key.id in root.revoked_keys:
        raise UsageError(
            f"The key {key.id[:16]}… is revoked for good.", "Make a new key for its owner."
        )
    known = root.roles.get(role, RoleKeys((), 1))
    if key.id in known.key_ids:
        raise UsageError(f"The key {key.id[:16]}… is a {role} already.", "Nothing is to be done.")
    keys = {one.id: one for one in (*root.keys, key)}
    listed = RoleKeys(tuple(sorted((*known.key_ids, key.id))), known.threshold)
    return validate(
        replace(
            root,
            keys=tuple(keys[one] for one in sorted(keys)),
            roles={**root.roles, role: listed},
        )
    )


def remove_key(root: Root, role: Role, key_id: str) -> Root:
    """Take a role away from a key. Whether it leaked or not: see ``revoke_key``."""
    known = root.roles.get(role, RoleKeys((), 1))
    if key_id not in known.key_ids:
        raise UsageError(
            f"The key {key_id[:16]}… is no {role} of this root.", "See `airgap root show`."
        )
    left = RoleKeys(tuple(one for one in known.key_ids if one != key_id), known.threshold)
    return validate(_without_idle_keys(replace(root, roles={**root.roles, role: left})))


def set_threshold(root: Root, role: Role, threshold: int) -> Root:
    """Say how many distinct keys of a role must sign; 0 ends the role of scanner or approver."""
    if role not in root.roles:
        raise UsageError(f"This root has no {role}.", "Add a key with `airgap root add-key`.")
    if threshold:
        changed = {**root.roles, role: replace(root.roles[role], threshold=threshold)}
    elif role in ("root", "builder"):
        raise UsageError(f"A root cannot do without the role {role}.", "Give at least 1.")
    else:
        changed = {name: one for name, one in root.roles.items() if name != role}
    return validate(_without_idle_keys(replace(root, roles=changed)))


def revoke_key(root: Root, key_id: str) -> Root:
    """Take all roles from a key for good, as after a theft."""
    roles = {
        role: RoleKeys(tuple(one for one in keys.key_ids if one != key_id), keys.threshold)
        for role, keys in root.roles.items()
    }
    revoked = tuple(sorted({*root.revoked_keys, key_id}))
    return validate(_without_idle_keys(replace(root, roles=roles, revoked_keys=revoked)))


def revoke_bundle(root: Root, bundle: bytes) -> Root:
    """Refuse one bundle for good, whoever signed it; ``bundle`` is its id as 32 bytes."""
    return validate(replace(root, revoked_bundles=tuple(sorted({*root.revoked_bundles, bundle}))))


def set_minimum_sequence(root: Root, channel: str, minimum: int) -> Root:
    """Refuse bundles of a channel below this sequence."""
    if not names.is_tag_part(channel):
        raise UsageError(
            f"{channel!r} cannot be a channel.", "Use lower-case letters, digits, '-', '_', '.'."
        )
    return validate(replace(root, channels={**root.channels, channel: minimum}))


def set_expiry(root: Root, not_after: int | None) -> Root:
    """Let the root admit nothing after this time (seconds since 1970); None lifts that."""
    return validate(replace(root, not_after=not_after))


def validate(root: Root) -> Root:
    """Return the root if a reader would take it (format §7.1).

    Raises:
        UsageError: it would not.
    """
    try:
        return roots.decode(roots.encode(root))
    except (AirgapError, TypeError) as error:
        raise UsageError(
            f"No reader would take that: {error}",
            "Add keys before you raise a threshold, lower it before you take keys away, and give"
            " nobody both the role of builder and of approver; `airgap root show` lists what is.",
        ) from error


def _without_idle_keys(root: Root) -> Root:
    """Drop keys that no role lists any more."""
    listed = {key_id for role in root.roles.values() for key_id in role.key_ids}
    return replace(root, keys=tuple(key for key in root.keys if key.id in listed))
