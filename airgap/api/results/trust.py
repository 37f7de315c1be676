"""Roots, the import history, and what was signed."""

from typing import Literal, TypedDict

from airgap.api.results.installed import LedgerFaultDict

__all__ = [
    "ChannelMarkDict",
    "DemandDict",
    "HistoryDict",
    "LabelRuleDict",
    "PinDict",
    "ReceiptRuleDict",
    "RecipientDict",
    "RoleMembersDict",
    "RootDict",
    "RootFileDict",
    "RootSignaturesDict",
    "SignatureDict",
    "SignedRootFileDict",
    "StatementDict",
    "TimestampAuthorityDict",
    "TrustDict",
    "UpdateDict",
    "WaiverDict",
]


class RoleMembersDict(TypedDict):
    """The keys of a role."""

    threshold: int
    """How many of them must sign."""
    keys: list[str]
    """Their ids."""


class DemandDict(TypedDict):
    """An attestation that a root demands of every bundle."""

    name: str
    """What is attested."""
    role: str
    """Whose attestation it must be."""
    threshold: int
    """How many keys must accept."""
    max_age: int | None
    """How old it may be, in seconds; None: any age."""


class LabelRuleDict(TypedDict):
    """What a root accepts of a label."""

    values: list[str] | None
    """The values; None: any."""
    required: bool
    """Whether every bundle must have it."""


class ReceiptRuleDict(TypedDict):
    """What a root says of receipts."""

    approvals: int
    """How many approvals they need."""
    notes: bool
    """Whether they may have free text."""


class RecipientDict(TypedDict):
    """A key for which bundles may be encrypted."""

    recipient: str
    """The public key."""
    label: str
    """Whose it is."""
    purpose: str
    """What it is for."""


TimestampAuthorityDict = TypedDict(
    "TimestampAuthorityDict", {"certificate": str, "from": str | None, "until": str | None}
)
"""An authority whose time stamps count: ``sha256:`` and the digest of its ``certificate``, ``from``
when and ``until`` when; None: no limit."""


class RootDict(TypedDict):
    """A root."""

    site: str
    """The site."""
    version: int
    """Its version, from 1 on."""
    created_at: str | None
    """When it was made; None: it does not say."""
    expires_at: str | None
    """It admits nothing after this; None: no end."""
    roles: dict[str, RoleMembersDict]
    """The keys of each role."""
    algorithms: dict[str, str]
    """The algorithm of each key, by its id."""
    minimum_sequences: dict[str, int]
    """The lowest number of each channel that is accepted."""
    revoked_keys: list[str]
    """The ids of keys whose signatures do not count."""
    revoked_bundles: list[str]
    """The ids of bundles that are refused."""
    format: int
    """The version of its format (format §7.6)."""
    demands: list[DemandDict]
    """The attestations that it demands."""
    forbidden_options: list[str]
    """The ``insecure-`` options that it forbids, without that word."""
    labels: dict[str, LabelRuleDict] | None
    """The labels that it accepts; None: all."""
    people: dict[str, str]
    """Whose key it is, by the key's id."""
    revoked_since: dict[str, str]
    """Since when keys are revoked, where it says so."""
    trust_anchors: list[str] | None
    """The options of config files that may recognize servers; None: all."""
    policies: dict[str, str]
    """Digests of policies, by name."""
    receipts: ReceiptRuleDict
    """What it says of receipts."""
    recipients: list[RecipientDict]
    """For whom bundles may be encrypted."""
    timestamp_authorities: list[TimestampAuthorityDict]
    """Whose time stamps count."""


class RootSignaturesDict(TypedDict):
    """The signatures of a root, by the root keys of one version."""

    by_keys_of_version: int
    """The version."""
    threshold: int
    """How many of its root keys must sign."""
    signed_by: list[str]
    """The ids of the keys that have signed."""
    may_still_sign: list[str]
    """The ids of the others."""


class RootFileDict(RootDict):
    """A root file, and its signatures so far. This does not make it trusted."""

    root: str
    """The file."""
    fingerprint: str
    """``SHA256:`` and 64 hex digits."""
    changes: list[str]
    """What changed since the version before, if that was given."""
    signatures: list[RootSignaturesDict]
    """Its signatures by its own root keys, after those by the version before, if it was given."""
    complete: bool | None
    """Whether no signature is missing; None: that of the version before was not given."""


class SignedRootFileDict(RootFileDict):
    """A root file that was signed."""

    signed_by: str
    """The id of the key."""
    new: bool
    """Whether the key had not signed it before."""


class ChannelMarkDict(TypedDict):
    """The newest bundle of a channel that was imported."""

    sequence: int
    """Its number."""
    bundle: str
    """Its id."""
    root: int
    """The version of the root that admitted it."""


class HistoryDict(TypedDict):
    """The import history of this machine."""

    intact: bool
    """Whether it is intact."""
    fault: LedgerFaultDict | None
    """What is wrong with it."""
    folder: str
    """Where it is kept."""
    entries: int
    """How many entries the ledger has."""
    head: str
    """The digest of the last entry."""
    time_floor: str
    """No time before this is taken for the present."""
    channels: dict[str, ChannelMarkDict]
    """The newest bundle of each channel."""


class TrustDict(RootDict):
    """The root that this machine trusts, and the import history."""

    fingerprint: str
    """``SHA256:`` and 64 hex digits."""
    history: HistoryDict
    """The import history."""


class PinDict(TypedDict):
    """A root that was pinned."""

    site: str
    """The site."""
    version: int
    """The version of the root."""
    new: bool
    """Whether this machine did not trust it before."""
    state: str
    """The folder in which it is kept."""


class UpdateDict(TypedDict):
    """A root that took over."""

    site: str
    """The site."""
    before: int
    """The version that was trusted before."""
    version: int
    """The version that is trusted now."""
    fingerprint: str
    """The fingerprint of that version."""
    new: bool
    """Whether the version is another one."""
    changes: list[str]
    """What changed."""
    signed_by: list[str]
    """The ids of the root keys that signed it."""


class SignatureDict(TypedDict):
    """A builder's signature that was added."""

    bundle: str
    """The bundle id."""
    envelope: str
    """The name of the file with the signature."""
    signed_by: str
    """The id of the key."""


class StatementDict(TypedDict):
    """A statement about a bundle that was signed."""

    bundle: str
    """The bundle id."""
    role: str
    """``scanner`` or ``approver``."""
    name: str
    """What is attested."""
    decision: Literal["accept", "reject"]
    """The decision."""
    note: str
    """The note that was signed."""
    findings: str | None
    """The SHA-256 of the report; None: there is none."""
    signed_by: str
    """The id of the key."""


class WaiverDict(TypedDict):
    """A waiver."""

    waiver: str
    """The file."""
    bundle: str
    """The bundle that it permits."""
    digest: str
    """``SHA256:`` and 64 hex digits: what further approvers sign."""
    site: str
    """The site that may import it."""
    reason: str
    """Why."""
    time: str
    """When it was written."""
    expires_at: str
    """When it ends."""
    signed_by: list[str]
    """The ids of the keys with a signature beside it; they are not verified."""
    new: bool
    """Whether this key had not signed it before."""
