"""The root: the signed trust document of a site (format §7.1)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airgap.format import canonical, limits, names
from airgap.format.attestation import ATTESTING_ROLES, DEFAULT_NAMES
from airgap.format.envelope import ROLES, Role
from airgap.format.fields import DIGEST_BYTES, HASH, Fields, refuse_newer
from airgap.format.site_rules import RULE_KEYS, Demand, SiteRules, decode_rules, encode_rules

__all__ = [
    "ALGORITHMS",
    "RECORDING_ROLES",
    "Key",
    "RoleKeys",
    "Root",
    "SignedRoot",
    "decode",
    "encode",
    "fingerprint",
]

PLAIN_FORMAT: Final = 1
RULES_FORMAT: Final = 2
ALGORITHMS: Final = (
    "ed25519",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "ml-dsa-65",
    "ml-dsa-87",
)
RECORDING_ROLES: Final[tuple[Role, ...]] = ("recorder", "witness")
"""Roles of format 2; only they may have a key of ``RECORDING_ALGORITHM`` (format §6.3)."""
RECORDING_ALGORITHM: Final = "ml-dsa-44"


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
    rules: SiteRules = field(default_factory=SiteRules)

    @property
    def format(self) -> int:
        """The lowest format that can say this (format §7.6)."""
        thresholds = [keys.threshold for keys in self.roles.values()]
        is_plain = (
            self.rules == SiteRules()
            and self.roles.keys().isdisjoint(RECORDING_ROLES)
            and all(thresholds)
        )
        return PLAIN_FORMAT if is_plain else RULES_FORMAT

    def signers(self, role: Role) -> dict[str, Key]:
        """Return the unrevoked keys of a role by key id."""
        listed = self.roles[role].key_ids if role in self.roles else ()
        return {
            key.id: key for key in self.keys if key.id in listed and key.id not in self.revoked_keys
        }

    def threshold(self, role: Role) -> int:
        """Return how many distinct signers a role needs; 0 if the root does not have the role."""
        return self.roles[role].threshold if role in self.roles else 0

    def demands(self) -> tuple[Demand, ...]:
        """Return every attestation that a bundle needs: by role, then by name (format §7.6)."""
        by_role = [
            Demand(DEFAULT_NAMES[role], role, self.threshold(role))
            for role in ATTESTING_ROLES
            if self.threshold(role)
        ]
        return (*by_role, *self.rules.demands)


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """A root's bytes and its envelopes, not yet checked."""

    raw: bytes
    envelopes: tuple[bytes, ...]


def fingerprint(raw: bytes) -> str:
    """Return the fingerprint that a site pins: ``SHA256:`` and the hex digest of the root."""
    return "SHA256:" + hashlib.sha256(raw).hexdigest()


def encode(root: Root) -> bytes:
    """Encode a root in the lowest format that can say it (format §7.1, §7.6).

    Raises:
        ValueError: it needs format 2, and has no ``created_at``.
    """
    rules = {}
    if root.format == RULES_FORMAT:
        if root.created_at is None:
            raise ValueError("a root of format 2 has created_at")
        rules = encode_rules(root.rules, root.revoked_keys)
    return canonical.encode(
        {
            "channels": {
                name: {"minimum_sequence": minimum} for name, minimum in root.channels.items()
            },
            **({} if root.created_at is None else {"created_at": root.created_at}),
            "format": root.format,
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
            **rules,
        }
    )


def decode(raw: bytes) -> Root:
    """Decode and check a root; ``signing`` checks the encoding of its keys (format §7.2).

    Raises:
        CorruptError: it breaks a rule of format §7.1 or §7.6.
        PolicyError: it is of a newer format.
    """
    value = canonical.decode(raw, limit=limits.ROOT_BYTES, what="root")
    refuse_newer(value, RULES_FORMAT, "root")
    has_rules = type(value) is dict and value.get("format") == RULES_FORMAT
    dated = has_rules or (type(value) is dict and "created_at" in value)
    keys_of_format = _KEYS | RULE_KEYS if has_rules else _KEYS
    fields = Fields(value, keys_of_format | {"created_at"} if dated else keys_of_format, "root")
    fields.expect("format", RULES_FORMAT if has_rules else PLAIN_FORMAT)
    fields.expect("hash", HASH)
    rules, revoked_keys = (
        decode_rules(fields)
        if has_rules
        else (SiteRules(), fields.sorted_texts("revoked_keys", limits.ROOT_KEYS))
    )
    keys = tuple(map(_decode_key, fields.array("keys", limits.ROOT_KEYS)))
    ids = [key.id for key in keys]
    if ids != sorted(set(ids)):
        raise fields.error("has keys that are not sorted, or not unique")
    root = Root(
        site=fields.text("site"),
        version=fields.integer("version", low=1),
        keys=keys,
        roles=_decode_roles(fields, frozenset(ids), has_rules=has_rules),
        channels=_decode_channels(fields),
        revoked_keys=revoked_keys,
        revoked_bundles=_decode_revoked_bundles(fields),
        not_after=fields.time_or_none("not_after"),
        created_at=fields.time("created_at") if dated else None,
        rules=rules,
    )
    if not all(map(names.is_bundle_id, root.revoked_keys)):
        raise fields.error("revokes something that is not a key id")
    if not all(map(names.is_tag_part, (root.site, *root.channels))):
        raise fields.error("has an invalid site id or channel name")
    _check_thresholds(root, fields)
    _check_recorders(root, fields)
    _check_rules(root, fields)
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
    if algorithm not in (*ALGORITHMS, RECORDING_ALGORITHM):
        raise fields.error(f"is for the unknown algorithm {algorithm!r}")
    return Key(fields.raw("spki"), algorithm)


def _decode_roles(
    fields: Fields, key_ids: frozenset[str], *, has_rules: bool
) -> dict[Role, RoleKeys]:
    table = fields.table("roles", len(ROLES))
    allowed = [role for role in ROLES if has_rules or role not in RECORDING_ROLES]
    if not {"root", "builder"} <= table.keys() <= set(allowed):
        raise fields.error("has no root or builder role, or an unknown role")
    roles = {
        role: _decode_role(
            table[role], role, key_ids, least=0 if has_rules and role in ATTESTING_ROLES else 1
        )
        for role in allowed
        if role in table
    }
    approvers = roles["approver"].key_ids if "approver" in roles else ()
    if set(approvers) & set(roles["builder"].key_ids):
        raise fields.error("has a key that is both builder and approver")
    return roles


def _decode_role(
    value: Any,  # noqa: ANN401
    role: str,
    key_ids: frozenset[str],
    *,
    least: int,
) -> RoleKeys:
    fields = Fields(value, frozenset({"keys", "threshold"}), f"root's role {role}")
    role_key_ids = fields.sorted_texts("keys", limits.ROOT_KEYS)
    if not key_ids.issuperset(role_key_ids):
        raise fields.error("names a key that is not in the root")
    return RoleKeys(role_key_ids, fields.integer("threshold", low=least))


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


def _check_recorders(root: Root, fields: Fields) -> None:
    """Refuse a recorder with another role, and ML-DSA-44 for another role (format §6.3, §7.6)."""
    roles_of: dict[str, set[Role]] = {}
    for role, keys in root.roles.items():
        for key_id in keys.key_ids:
            roles_of.setdefault(key_id, set()).add(role)
    if any("recorder" in roles and len(roles) > 1 for roles in roles_of.values()):
        raise fields.error("has a key that is recorder and has another role")
    for key in root.keys:
        roles = roles_of.get(key.id, set())
        is_recording = bool(roles) and roles <= set(RECORDING_ROLES)
        if key.algorithm == RECORDING_ALGORITHM and not is_recording:
            raise fields.error(f"has a key for {key.algorithm} that is not a recorder or witness")


def _check_rules(root: Root, fields: Fields) -> None:
    """Refuse rules of format §7.6 that do not fit the keys and roles of the root."""
    rules, key_ids = root.rules, {key.id for key in root.keys}
    for demand in rules.demands:
        usable = len(root.signers(demand.role))
        if demand.threshold > usable:
            raise fields.error(
                f"demands {demand.name} of {demand.threshold} keys of the role {demand.role} and"
                f" has {usable}"
            )
    if not key_ids.union(root.revoked_keys).issuperset(rules.people):
        raise fields.error("names the owner of a key that is not in it")
    if rules.receipts.approvals > len(root.signers("approver")):
        raise fields.error("requires more approvals of receipts than it has approvers")
