"""What the functions of time stamps return."""

from typing import Literal, TypedDict

from airgap.api.results.bundles import SealedDict

__all__ = [
    "AddedStampDict",
    "AsOfDict",
    "AuthenticDict",
    "CurrentTrustDict",
    "IntactDict",
    "OlderRootDict",
    "SignatureThenDict",
    "StampChainDict",
    "StampDict",
    "TimestampDict",
]


class AddedStampDict(TypedDict):
    """A time stamp that was added."""

    file: str
    """Its name."""
    over: str
    """The file at the beginning of its chain."""
    time: str
    """When the authority says that it made it."""
    signer: str
    """The name in the signer's certificate."""
    hash: Literal["sha256", "sha512"]
    """The hash that it is over."""
    checked: bool
    """Whether it is known to be of an authority of the root, or of ``certificates``."""


class StampDict(TypedDict):
    """A stamp of a chain. What cannot be read has None in place of its content."""

    file: str
    """Its name."""
    over: str
    """The file that it is over."""
    counts: bool
    """Whether it is by an authority of today's root."""
    problem: str
    """Why it does not count; empty: it does."""
    authority: str | None
    """The SHA-256 of the authority's certificate."""
    gap: list[str] | None
    """From when its certificate had ended until it was renewed, or until now."""
    time: str | None
    """The time in it."""
    latest: str | None
    """That time plus its accuracy: it is not later."""
    signer: str | None
    """The name in the signer's certificate."""
    hash: Literal["sha256", "sha512"] | None
    """The hash that it is over."""
    certificate_ends: str | None
    """When the signer's certificate ends."""
    command: str | None
    """The command of openssl that checks it, for the top of the depot."""


class StampChainDict(TypedDict):
    """A file, and the stamps over it."""

    file: str
    """The file at the beginning."""
    proven: str | None
    """By when it existed; None: no stamp counts."""
    broken: bool
    """Whether there are stamps that prove nothing, because one before them is missing or wrong."""
    stamps: list[StampDict]
    """From the first on."""


class TimestampDict(TypedDict):
    """What ``timestamp`` has done, or the stamps that are there."""

    bundle: str | None
    """The bundle id; None: it is a checkpoint."""
    location: str
    """Where it is."""
    added: list[AddedStampDict]
    """The stamps that were added."""
    requests: list[str]
    """The paths of the requests that were written."""
    certificates: list[str]
    """The names of the certificates that were added."""
    index: str | None
    """The name of the index that was made."""
    stamps: list[StampChainDict]
    """The stamps that are there, if nothing was to be stamped."""


class IntactDict(TypedDict):
    """Whether the bytes are those that were signed, by the hashes of today."""

    verdict: bool
    """Whether they are."""
    problems: list[str]
    """What is wrong."""


class OlderRootDict(TypedDict):
    """The root that was in force at a time."""

    version: int
    """Its version."""
    fingerprint: str
    """``SHA256:`` and the digest."""
    created_at: str | None
    """When it was made, by its maker's clock."""
    reason: str
    """Why it is relied on."""


class SignatureThenDict(TypedDict):
    """A signature, as of a time."""

    file: str
    """The name of its envelope."""
    role: Literal["builder", "scanner", "approver"]
    """The role of its key."""
    name: str
    """What an attestation attests; empty for a builder."""
    decision: str
    """``accept`` or ``reject``; empty for a builder."""
    key: str
    """The key id."""
    person: str
    """Whose key it is, by today's root; empty: it does not say."""
    proven: str | None
    """By when it existed; None: no stamp counts."""
    counts: bool
    """Whether it counted at that time."""
    problem: str
    """Why not; empty: it did."""


class AuthenticDict(TypedDict):
    """Whether enough builders had signed at the time."""

    verdict: bool
    """Whether they had."""
    reason: str
    """How many, of which root."""
    root: OlderRootDict | None
    """The root of then; None: none is known."""
    signatures: list[SignatureThenDict]
    """All signatures."""


class CurrentTrustDict(TypedDict):
    """Whether today's root admits the bundle, apart from the import history."""

    verdict: bool
    """Whether it does."""
    reason: str
    """Why not; empty: it does."""
    root_version: int
    """The version of today's root."""


class StampedLedgerDict(TypedDict):
    """A checkpoint that travels with a bundle, signed by a recorder of today's root."""

    file: str
    """Its name among the attachments."""
    origin: str
    """The name of the ledger."""
    entries: int
    """How many entries the ledger had."""
    root: str
    """The root of the tree over them, in hex."""
    proven: str | None
    """By when that was so; None: no stamp counts."""


class AsOfDict(TypedDict):
    """Three verdicts about a bundle."""

    bundle: str
    """The bundle id."""
    as_of: str
    """The time that was asked about."""
    sealed: SealedDict | None
    """How it is sealed: the verdicts are about its index, and not about what is inside. None: it is
    not."""
    intact: IntactDict
    """By today's hashes."""
    authentic: AuthenticDict
    """At that time."""
    current_trust: CurrentTrustDict
    """By today's root."""
    stamps: list[StampChainDict]
    """The stamps of each signature, index and checkpoint."""
    ledgers: list[StampedLedgerDict]
    """The checkpoints of ledgers that travel with the bundle."""
    missing_certificates: list[str]
    """The SHA-256 of each certificate of the root's authorities that does not lie there."""
