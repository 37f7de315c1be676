"""Results about receipts: what sites have said of bundles."""

from typing import Literal, NotRequired, TypedDict

__all__ = [
    "AcceptedReceiptDict",
    "ApprovedReceiptDict",
    "ConfirmationDict",
    "EvidenceFileDict",
    "MadeReceiptDict",
    "ReceiptDict",
    "ReceiptItemDict",
    "ReceiptLedgerDict",
    "ReceiptSignersDict",
    "ShownReceiptDict",
    "SiteHoldsDict",
    "UnconfirmedDict",
    "WitnessedDict",
]


class ReceiptItemDict(TypedDict):
    """An item of a bundle, and what became of it at the site."""

    name: str
    """Its kind and tag."""
    digest: str
    """The digest of the item."""
    outcome: Literal["installed", "replaced", "already there", "left out"]
    """What became of it."""


class ReceiptLedgerDict(TypedDict):
    """Where a receipt's entry is in the ledger of the site."""

    origin: str
    """The ledger's origin."""
    size: int
    """How many entries it had."""
    root: str
    """The root of the tree over them, in base64."""
    entry: int
    """The number of the entry, from 1 on."""


class WitnessedDict(TypedDict):
    """A checkpoint of somebody's ledger that a machine has seen."""

    origin: str
    """The ledger's origin."""
    size: int
    """How many entries it had."""
    root: NotRequired[str]
    """The root of the tree over them, in hex."""
    verdict: NotRequired[str]
    """How it fits what was seen before: ``first``, ``newer``, ``same``, ``older``, ``own``,
    ``unknown``, ``rewritten``, ``own rewritten`` or ``own before a reset``."""


class EvidenceFileDict(TypedDict):
    """A file that was counted."""

    file: str
    """Its name beside the manifest."""
    sha256: str
    """Its SHA-256."""


class ReceiptDict(TypedDict):
    """What a receipt says of a bundle. A terse one has None for ``channel`` and what follows."""

    site: str
    """The site that made it."""
    bundle: str
    """The bundle id."""
    event: Literal["imported", "waived", "refused"]
    """The event of the ledger."""
    result: Literal["passed", "failed"]
    """Whether the bundle was imported."""
    reason: str | None
    """For a refusal, the word of its exit code."""
    verified_at: str
    """When that was."""
    root_version: int
    """The version of the root that decided."""
    levels: list[str]
    """What was counted, as SLSA's levels."""
    channel: str | None
    """The bundle's channel."""
    sequence: int | None
    """Its number in the channel."""
    items: list[ReceiptItemDict]
    """Its items, as many as the receipt names."""
    item_count: int | None
    """How many items it has."""
    evidence: list[EvidenceFileDict]
    """The signatures and attestations that were counted."""
    gaps: list[list[int]]
    """Runs of numbers of the channel that never came, each as its first and its last."""
    holds: list[str]
    """The bundles of which the site has all files, with their sizes; contents were not read."""
    note: str | None
    """Free text, if the root permits it."""
    tool: str
    """The version of airgap that made it."""
    ledger: ReceiptLedgerDict
    """Where its entry is in the site's ledger."""
    witnessed: list[WitnessedDict]
    """The checkpoints of the sender's ledgers that the site has seen."""


class ReceiptSignersDict(TypedDict):
    """The ids of the keys that signed a receipt."""

    recorder: list[str]
    """Recorders of the site's root."""
    approver: list[str]
    """Approvers of the site's root."""


class ShownReceiptDict(ReceiptDict):
    """A receipt that was read."""

    verified: bool
    """Whether it was verified with a root of the site."""
    signed_by: ReceiptSignersDict | None
    """Who signed it; None: it was not verified."""


class AcceptedReceiptDict(ReceiptDict):
    """A receipt that was accepted."""

    file: str
    """Where it is kept."""
    continuity: Literal["first", "newer", "same", "older"]
    """How the ledger fits what it was at the receipts before."""
    replaced: bool
    """Whether another ledger has taken its place since (format §29.4)."""
    is_new: bool
    """Whether it was not accepted before."""
    exported_here: bool
    """Whether this machine exported the bundle."""
    no_longer_held: list[str]
    """Bundles that the site held by the receipt before."""
    signed_by: ReceiptSignersDict
    """Who signed it."""


class ApprovedReceiptDict(ReceiptDict):
    """A receipt that an approver has signed."""

    file: str
    """Where it is now."""
    approvals: int
    """How many approvers have signed it."""
    approvals_needed: int | None
    """How many the root demands; None: this machine has no root of the site."""
    may_leave: bool
    """Whether it has as many as the root demands."""
    signed_by: str
    """The id of the key that signed it now."""


class MadeReceiptDict(TypedDict):
    """A receipt that an import has written."""

    file: str
    """Its file."""
    approvals_needed: int
    """How many approvers must sign it before it may leave."""


class ConfirmationDict(TypedDict):
    """What a site has said of a bundle."""

    site: str
    """The site."""
    bundle: str
    """The bundle id; of a note, perhaps its first digits alone."""
    result: Literal["passed", "failed"]
    """Whether the bundle was imported."""
    by: Literal["receipt", "note"]
    """Whether a receipt says so, or somebody who read out a note."""
    ledger: str | None
    """The last digits of the ledger's origin."""
    size: int
    """How many entries the ledger had."""
    accepted_at: str | None
    """When the receipt was accepted."""


class UnconfirmedDict(TypedDict):
    """A bundle that a site has not confirmed."""

    site: str
    """The site that it is for."""
    bundle: str
    """The bundle id."""
    channel: str
    """Its channel."""
    sequence: int
    """Its number in the channel; 0: none."""
    exported_at: str
    """When it was exported."""
    has_note: bool
    """Whether somebody has read out a note of it."""


class SiteHoldsDict(TypedDict):
    """What a site holds by its newest receipts."""

    site: str
    """The site."""
    bundles: list[str]
    """The ids of the bundles that it has whole."""
    exported_here: list[str]
    """Those of them that this machine exported, the oldest first."""
