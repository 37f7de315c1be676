"""The root: the signed trust document of a site (format §7.1)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airgap.format import canonical, limits, names
from airgap.format.envelope import ROLES, Role
from airgap.format.fields import DIGEST_BYTES, HASH, Fields

__all__ = ["ALGORITHMS", "Key", "RoleKeys", "Root", "SignedRoot", "decode", "encode", "fingerprint"]

FORMAT: Final = 1
ALGORITHMS: Final = (
    "ed25519",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "ml-dsa-65",
    "ml-dsa-87",
)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key: SubjectPublicKeyInfo (DER) and the one algorithm it is used with."""

    spki: bytes
    algorithm: str

    @property
    def id(self) -> str:
        """SHA-256 of the SPKI in hex (format §7.2)."""
        return hashlib.sha256(self.spki).hexdigest()


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """The key ids of a role, and how many distinct ones must sign."""

    key_ids: tuple[str, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class Root:
    """Keys, roles and revocations of a site. Times are in seconds since 1970."""

    site: str
    version: int
    keys: tuple[Key, ...]
    roles: Mapping[Role, RoleKeys]
    channels: Mapping[str, int]
    revoked_keys: tuple[str, ...] = ()
    revoked_bundles: tuple[bytes, ...] = ()
    not_after: int | None = None
    created_at: int | None = None

    def signers(self, role: Role) -> dict[str, Key]:
        """Return the unrevoked keys of a role by key id."""
        listed = self.roles[role].key_ids if role in self.roles else ()
        return {
            key.id: key for key in self.keys if key.id in listed and key.id not in self.revoked_keys
        }

    def threshold(self, role: Role) -> int:
        """Return how many distinct signers a role needs; 0 if the root does not have the role."""
        return self.roles[role].threshold if role in self.roles else 0


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """A root's bytes and its envelopes, not yet checked."""

    raw: bytes
    envelopes: tuple[bytes, ...]


def fingerprint(raw: bytes) -> str:
    """Return the fingerprint that a site pins: ``SHA256:`` and the hex digest of the root."""
    return "SHA256:" + hashlib.sha256(raw).hexdigest()


def encode(root: Root) -> bytes:
    """Encode a root (format §7.1)."""
    return canonical.encode(
        {
            "channels": {
                name: {"minimum_sequence": minimum} for name, minimum in root.channels.items()
            },
            **({} if root.created_at is None else {"created_at": root.created_at}),
            "format": FORMAT,
            "hash": HASH,
            "keys": [{"algorithm": key.algorithm, "spki": key.spki} for key in root.keys],
            "not_after": root.not_after,
            "revoked_bundles": root.revoked_bundles,
            "revoked_keys": root.revoked_keys,
            "roles": {
                name: {"keys": role.key_ids, "threshold": role.threshold}
                for name, role in root.roles.items()
            },
            "site": root.site,
            "version": root.version,
        }
    )


def decode(raw: bytes) -> Root:
    """Decode and check a root; ``signing`` checks the encoding of its keys (format §7.2).

    Raises:
        CorruptError: it breaks a rule of format §7.1.
    """
    value = canonical.decode(raw, limit=limits.ROOT_BYTES, what="root")
    dated = type(value) is dict and "created_at" in value
    fields = Fields(value, _KEYS | {"created_at"} if dated else _KEYS, "root")
    fields.expect("format", FORMAT)
    fields.expect("hash", HASH)
    keys = tuple(map(_decode_key, fields.array("keys", limits.ROOT_KEYS)))
    ids = [key.id for key in keys]
    if ids != sorted(set(ids)):
        raise fields.error("has keys that are not sorted, or not unique")
    root = Root(
        site=fields.text("site"),
        version=fields.integer("version", low=1),
        keys=keys,
        roles=_decode_roles(fields, frozenset(ids)),
        channels=_decode_channels(fields),
        revoked_keys=fields.sorted_texts("revoked_keys", limits.ROOT_KEYS),
        revoked_bundles=_decode_revoked_bundles(fields),
        not_after=fields.time_or_none("not_after"),
        created_at=fields.time("created_at") if dated else None,
    )
    if not all(map(names.is_bundle_id, root.revoked_keys)):
        raise fields.error("revokes something that is not a key id")
    if not all(map(names.is_tag_part, (root.site, *root.channels))):
        raise fields.error("has an invalid site id or channel name")
    _check_thresholds(root, fields)
    return root


_KEYS = frozenset(
    {
        "channels",
        "format",
        "hash",
        "keys",
        "not_after",
        "revoked_bundles",
        "revoked_keys",
        "roles",
        "site",
        "version",
    }
)


def _decode_key(value: Any) -> Key:  # noqa: ANN401
    fields = Fields(value, frozenset({"algorithm", "spki"}), "root's key")
    algorithm = fields.text("algorithm")
    if algorithm not in ALGORITHMS:
        raise fields.error(f"is for the unknown algorithm {algorithm!r}")
    return Key(fields.raw("spki"), algorithm)


def _decode_roles(fields: Fields, key_ids: frozenset[str]) -> dict[Role, RoleKeys]:
    table = fields.table("roles", len(ROLES))
    if not {"root", "builder"} <= table.keys() <= set(ROLES):
        raise fields.error("has no root or builder role, or an unknown role")
    roles = {role: _decode_role(table[role], role, key_ids) for role in ROLES if role in table}
    approvers = roles["approver"].key_ids if "approver" in roles else ()
    if set(approvers) & set(roles["builder"].key_ids):
        raise fields.error("has a key that is both builder and approver")
    return roles


def _decode_role(value: Any, role: str, key_ids: frozenset[str]) -> RoleKeys:  # noqa: ANN401
    fields = Fields(value, frozenset({"keys", "threshold"}), f"root's role {role}")
    role_key_ids = fields.sorted_texts("keys", limits.ROOT_KEYS)
    if not key_ids.issuperset(role_key_ids):
        raise fields.error("names a key that is not in the root")
    return RoleKeys(role_key_ids, fields.integer("threshold", low=1))


def _decode_channels(fields: Fields) -> dict[str, int]:
    keys = frozenset({"minimum_sequence"})
    return {
        name: Fields(value, keys, "root's channel").integer("minimum_sequence")
        for name, value in fields.table("channels", limits.SITES).items()
    }


def _decode_revoked_bundles(fields: Fields) -> tuple[bytes, ...]:
    bundles = fields.array("revoked_bundles", limits.DEPOT_BUNDLES)
    valid = all(type(bundle) is bytes and len(bundle) == DIGEST_BYTES for bundle in bundles)
    if not valid or bundles != sorted(set(bundles)):
        raise fields.error("must have a sorted array of unique digests in 'revoked_bundles'")
    return tuple(bundles)


def _check_thresholds(root: Root, fields: Fields) -> None:
    """Refuse a root with a threshold that its own keys cannot reach (format §7.1)."""
    for role in root.roles:
        usable = len(root.signers(role))
        if root.threshold(role) > usable:
            raise fields.error(
                f"requires {root.threshold(role)} signers for the role {role} and has {usable}"
            )
