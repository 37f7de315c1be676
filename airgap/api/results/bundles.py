"""Bundles: what they claim, and what was verified."""

from typing import Literal, NotRequired, TypedDict

from airgap.api.results.items import ItemDict

__all__ = [
    "AttachedFileDict",
    "AttachmentDict",
    "AttestationDict",
    "BundleDict",
    "ClaimDict",
    "EvidenceDict",
    "InspectionDict",
    "ModelSignatureDict",
    "ParityStateDict",
    "ReportDict",
    "RoleSignaturesDict",
    "SealedDict",
    "UsedWaiverDict",
    "VerificationDict",
]


class BundleDict(TypedDict):
    """A bundle, by its manifest."""

    bundle: str
    """The bundle id: 64 hex digits."""
    created_at: str
    """The time of its newest Bento or model."""
    expires_at: str | None
    """No site imports it after this; None: never."""
    channel: str
    """Its channel; ``default`` if none was given."""
    sequence: int
    """Its number in the channel; 0: none."""
    audience: list[str]
    """The sites that may import it; empty: all that trust the builder."""
    labels: dict[str, str]
    """Its labels, by name."""
    completes: str | None
    """The id of the bundle that it completes, if it is a completing bundle."""
    tool: str
    """The program that made it."""
    size: int
    """The bytes of all files of all items."""
    stored_size: int
    """The bytes of its packs."""
    packs: int
    """How many packs it has."""
    chunks: int
    """How many chunks it names."""
    items: list[ItemDict]
    """The items that it holds."""
    sealed: "SealedDict | None"
    """How it is sealed; None: it is not."""


class SealedDict(TypedDict):
    """How a bundle is sealed. Its items are those that could be read."""

    recipients: int
    """How many can open it."""
    inner: str | None
    """The id of the bundle inside; None: it was not opened."""


class ClaimDict(TypedDict):
    """A signature or an attestation beside a manifest, as it claims to be."""

    role: str
    """The role that it is made for."""
    key_id: str | None
    """The key that it names; None: it cannot be read."""
    bundle: NotRequired[str]
    """Of an attestation: the bundle that it is about."""
    name: NotRequired[str]
    """Of an attestation: what it attests."""
    decision: NotRequired[str]
    """Of an attestation: ``accept`` or ``reject``."""
    time: NotRequired[str]
    """Of an attestation: when it was made."""
    note: NotRequired[str]
    """Of an attestation: what its author wrote."""
    findings: NotRequired[str | None]
    """Of an attestation: ``sha256:`` and the digest of a report; None: there is none."""
    unreadable: NotRequired[str]
    """Of an attestation that cannot be read: why."""


class AttachmentDict(TypedDict):
    """A file that travels with a bundle. Nothing relies on it."""

    file: str
    """Its name."""
    size: int
    """Its bytes."""
    sha256: str
    """The digest of its content."""
    verdict: Literal["signed", "another bundle", "does not match", "not checked"]
    """What ``verify`` knows of it; everything else says "not checked". Nothing relies on it."""
    predicate_type: str | None
    """What it claims to state, if it is an in-toto statement."""
    role: str | None
    """The role of the key in the root that it claims or has; None: it is not checked."""
    key_id: str | None
    """That key; None: it is not checked."""


class AttachedFileDict(AttachmentDict):
    """A file that ``attach`` has put beside a bundle."""

    bundle: str
    """The bundle id."""


class EvidenceDict(TypedDict):
    """What was collected of a bundle, for other programs."""

    bundle: str
    """The bundle id."""
    output: str
    """The file or folder."""
    form: Literal["file", "folder"]
    """Whether it is an in-toto bundle in a file, or a folder."""
    count: int
    """The lines of the file, or the signatures that the folder's script checks."""
    verified: Literal[False]
    """Always False."""


class InspectionDict(BundleDict):
    """What a bundle claims. Nothing of it is verified."""

    verified: Literal[False]
    """Always False."""
    signatures: list[ClaimDict]
    """The signatures and attestations beside the manifest."""
    attachments: list[AttachmentDict]
    """The files that travel with it."""
    absent_packages: list[str]
    """The tags of Bentos whose Python packages are neither in the bundle nor here."""


class RoleSignaturesDict(TypedDict):
    """Whose signatures of a role counted."""

    threshold: int
    """How many keys must sign."""
    signed_by: list[str]
    """The ids of the keys that signed."""


class AttestationDict(TypedDict):
    """An attestation that counted, or is claimed."""

    role: str
    """``scanner`` or ``approver``."""
    name: str
    """What is attested, such as ``malware`` or ``review``."""
    decision: str
    """``accept`` or ``reject``."""
    signed_by: list[str]
    """The ids of the keys that signed."""
    threshold: NotRequired[int]
    """How many keys must accept; only of an admitted bundle."""
    max_age: NotRequired[int | None]
    """How old it may be, in seconds; None: any age; only of an admitted bundle."""
    outdated: NotRequired[list[str]]
    """The keys whose attestation is too old; only of an admitted bundle."""


class UsedWaiverDict(TypedDict):
    """The waiver that let a bundle pass."""

    reason: str
    """Why, in the approvers' words."""
    expires_at: str
    """When it ends."""
    signed_by: list[str]
    """The ids of the approvers' keys."""


class ModelSignatureDict(TypedDict):
    """The signature of a single model for OpenSSF ``model_signing``."""

    item: str
    """The kind and the tag of the model."""
    verdict: Literal["holds", "unknown signer", "does not fit", "not checked"]
    """Whether it is of a key that the root names, and of this model."""
    key_id: str | None
    """The key that made it, if it is known."""
    path: str | None
    """The file into which it was written, if it was."""


class ReportDict(TypedDict):
    """A findings file of an attestation."""

    file: str
    """Its name."""
    verdict: Literal["as signed", "differs", "not attached"]
    """Whether its content is what the attestation names."""


class ParityStateDict(TypedDict):
    """The parity packs of a bundle."""

    intact: int
    """How many are intact."""
    missing: int
    """How many are missing."""
    damaged: list[str]
    """Those that are damaged."""
    packs_restored: int
    """How many packs are damaged or missing on the media, and were read as parity or another
    volume gave them."""


class VerificationDict(BundleDict):
    """A bundle that this machine would import, and of which every byte was compared.

    Of a sealed bundle without an identity, its index and its packs were.
    """

    verified: Literal[True]
    """Always True: otherwise ``verify`` raises."""
    not_checked: list[str]
    """What an import may refuse a sealed bundle for, and was not looked at without an identity."""
    bytes_read: int
    """The bytes of the packs that were read."""
    site: str
    """The site whose root admits it."""
    root_version: int
    """The version of that root."""
    threshold: int
    """How many builders must sign."""
    signed_by: list[str]
    """The ids of the builders' keys that signed."""
    roles: dict[str, RoleSignaturesDict]
    """The signatures of each role."""
    attestations: list[AttestationDict]
    """The attestations that the root demands."""
    last_sequence: int
    """The highest number of this channel that was imported here; 0: none."""
    missing_numbers: list[int] | None
    """The first and the last number of the channel that did not come; None: none is missing."""
    waived: list[str]
    """The rules that only a waiver let it pass."""
    passed_over: list[str]
    """Newer bundles of the depot that this machine would not import."""
    waiver: NotRequired[UsedWaiverDict]
    """The waiver, if one was needed."""
    model_signatures: list[ModelSignatureDict]
    """Signatures of single models; admission does not depend on them."""
    reports: list[ReportDict]
    """The findings files of its attestations."""
    attachments: list[AttachmentDict]
    """The other files that travel with it."""
    parity: ParityStateDict
    """Its parity packs."""
