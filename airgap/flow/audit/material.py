"""What an audit has read: roots, ledgers, bundles and receipts, with what was verified of each.

Nothing here reads a file. Times are in seconds since 1970; ids and digests are in hex, unless a
field has bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from airgap.flow.ledger.checkpoints import SignedCheckpoint
from airgap.format.checkpoint import name_origin
from airgap.format.ledger import Entry
from airgap.format.receipt import Receipt
from airgap.format.root import Root, SignedRoot
from airgap.signing.as_of import AcceptedRoot
from airgap.signing.trust import Verified

__all__ = [
    "DECIDED",
    "AuditFilter",
    "AuditMaterial",
    "AuditedBundle",
    "AuditedEntry",
    "AuditedItem",
    "AuditedLedger",
    "AuditedReceipt",
    "AuditedRoots",
    "AuditedSignature",
    "AuditedStamp",
    "LedgerSide",
    "RuleResult",
]

LedgerSide = Literal["imports", "exports", "unknown"]
RuleResult = Literal["yes", "no", "not checked"]
DECIDED: Final = frozenset({"imported", "waived", "refused"})
"""The events that say what became of a bundle at a site."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What the report is about; empty fields leave nothing out.

    ``item`` is a tag or a name, ``person`` a name of the root, a user, or the first digits of a key
    id.
    """

    bundle: str = ""
    since: int | None = None
    until: int | None = None
    item: str = ""
    person: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left out."""
        return self == AuditFilter()


class AuditedEntry(NamedTuple):
    """An entry of a ledger: its number from 1 on, what it says, and its bytes."""

    number: int
    entry: Entry
    raw: bytes


@dataclass(frozen=True, slots=True)
class AuditedStamp:
    """A time stamp over a file: what it proves, and the command that checks it."""

    file: str
    over: str
    proven: int | None
    """By when the first file of its chain existed; None: it does not count."""
    expired: int | None
    """When its certificate ended, if nothing has stamped it again since; None: it holds."""
    problem: str
    command: str
    """Of openssl, within the evidence folder; empty if there is none that succeeds."""


@dataclass(frozen=True, slots=True)
class AuditedLedger:
    """A ledger: of this machine, exported by another one, or a single entry with its proof."""

    label: str
    """L1, L2, …: how the report names it."""
    origin: str
    site: str
    side: LedgerSide
    source: str
    entries: Sequence[AuditedEntry]
    first: int = 1
    """The number of the first entry that was shown; those before it are an edge only."""
    edge: Sequence[bytes] = ()
    signed: SignedCheckpoint | None = None
    is_whole: bool = True
    """Whether all entries from ``first`` to the checkpoint are there."""
    reset: int = 0
    """The number of the reset that put it aside, if it lies here; 0: none, or it was exported."""
    fault: str = ""
    """What is wrong with it, by what its own machine says."""
    problem: str = ""
    """Why its checkpoint does not count, in a sentence."""
    proof: bytes = b""
    """Of a single entry: its proof."""
    stamps: Sequence[AuditedStamp] = ()

    @property
    def folder(self) -> str:
        """Its folder within the evidence."""
        return f"ledgers/{self.label[1:]}"

    @property
    def covered(self) -> int:
        """How many entries the checkpoint covers."""
        return self.signed.point.size if self.signed else 0

    @property
    def replaced(self) -> str:
        """The origin of the ledger that it took the place of; empty: of none that it names."""
        first = self.find(1)
        if first is None or first.entry.replaces is None:
            return ""
        return name_origin(self.site, first.entry.replaces.first)

    def find(self, number: int) -> AuditedEntry | None:
        """Return an entry by its number."""
        at = number - self.first
        if not self.is_whole:
            return next((one for one in self.entries if one.number == number), None)
        return self.entries[at] if 0 <= at < len(self.entries) else None


@dataclass(frozen=True, slots=True)
class AuditedItem:
    """An item of a bundle, and the licences that a bill names; None: no bill is there."""

    kind: str
    tag: str
    digest: str
    files: int
    size: int
    licences: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class AuditedSignature:
    """A signature beside a bundle: whose it is, over which file, and why it does not count."""

    role: str
    name: str
    """What is attested; empty for a builder."""
    decision: str
    key_id: str
    file: str
    over: str
    problem: str
    proven: int | None
    """By when it existed, by its time stamps."""
    command: str
    """What checks it, within the evidence folder; empty if its key is not in the root."""
    is_kept: bool = False
    """Whether the location has lost it, and this machine kept it at the import (format §17.9)."""


@dataclass(frozen=True, slots=True)
class AuditedBundle:
    """A bundle that lies in a location: what its manifest says, and what was checked."""

    bundle: str
    source: str
    medium: str
    channel: str
    sequence: int
    created_at: int
    expires_at: int | None
    audience: Sequence[str]
    labels: Mapping[str, str]
    size: int
    stored_size: int
    packs: int
    volumes: str
    """Which volumes of how many, by their labels; empty: it has none."""
    items: Sequence[AuditedItem]
    recipients: int | None
    """Of a sealed bundle: how many."""
    completes: str
    rules: Mapping[int, tuple[RuleResult, str]]
    """By the numbers of format §7.5: whether it holds today, and the reason."""
    signatures: Sequence[AuditedSignature]
    stamps: Sequence[AuditedStamp]
    stamps_unchecked: str
    """Why no stamp could be checked; empty: all were."""
    attachments: Sequence[str]
    folders: tuple[str, ...] = ()
    """Where its files lie in the evidence; before it, where those of the index around it do."""
    differing: tuple[str, ...] = ()
    """Files in the evidence that have other bytes in another copy of it, each after its twin."""
    index: str = ""
    """Of a bundle that was sealed, and opened: the bundle id of its index."""

    @property
    def is_closed(self) -> bool:
        """Whether it is sealed, and nobody looked inside."""
        return self.recipients is not None and not self.index

    @property
    def manifests(self) -> Sequence[str]:
        """The files of its manifest, and of the index around it, in the evidence."""
        bundles = [self.bundle, self.index] if self.index else [self.bundle]
        return [f"bundles/{bundle}/manifest.msgpack" for bundle in bundles]

    @property
    def is_admitted(self) -> bool:
        """Whether no rule is broken by today's root."""
        return all(result != "no" for result, _ in self.rules.values())

    def find_proven(self) -> int | None:
        """Return by when all builders' signatures existed that a stamp proves."""
        proven = [one.proven for one in self.signatures if one.role == "builder" and one.proven]
        return max(proven, default=None)

    def is_scanned(self) -> bool:
        """Tell whether a scanner's signature that counts accepts it."""
        return any(
            one.role == "scanner" and not one.problem and one.decision == "accept"
            for one in self.signatures
        )


@dataclass(frozen=True, slots=True)
class AuditedReceipt:
    """A receipt that was verified, or the reason why it was not."""

    file: str
    """Its name within the evidence."""
    digest: bytes
    """The SHA-256 of what was signed, as ledgers have it."""
    receipt: Receipt | None
    origin: str
    size: int
    root: bytes = b""
    """Of the tree over the first ``size`` entries, as its recorder signed it."""
    recorders: Sequence[str] = ()
    problem: str = ""
    commands: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class AuditedRoots:
    """The root that is trusted today, the older ones that it leads to, and those left out."""

    today: Verified[Root]
    files: Sequence[SignedRoot]
    """All that were read, today's first."""
    accepted: Sequence[AcceptedRoot]
    """By version; today's is the last."""
    refused: Sequence[str]
    """Fingerprints of roots that nothing leads to."""

    @property
    def root(self) -> Root:
        """Today's."""
        return self.today.value

    def name_person(self, key_id: str) -> str:
        """Return whose key it is, as the newest root that knows says; empty if none does."""
        for one in reversed(self.accepted):
            if key_id in one.root.rules.people:
                return one.root.rules.people[key_id]
        return ""


@dataclass(frozen=True, slots=True)
class AuditMaterial:
    """All that a report is made of."""

    now: int
    tool: str
    wanted: AuditFilter
    roots: AuditedRoots
    ledgers: Sequence[AuditedLedger]
    bundles: Sequence[AuditedBundle]
    receipts: Sequence[AuditedReceipt]
    unreadable: Sequence[tuple[str, str]] = ()
    """Bundles that could not be read: where, and why."""
    forks: int = 0
    """How many pairs of documents this machine has kept that contradict each other."""
    sources: Sequence[str] = field(default_factory=tuple)
    hidden: frozenset[str] = frozenset()
    """Bundles that were sealed, of which the evidence has nothing that names what is inside."""

    def sides(self) -> frozenset[LedgerSide]:
        """Return which kinds of ledgers are there."""
        return frozenset(ledger.side for ledger in self.ledgers)

    def find_successor(self, ledger: AuditedLedger) -> AuditedLedger | None:
        """Return the ledger that a reset began in the place of another one."""
        return next((one for one in self.ledgers if one.replaced == ledger.origin), None)

    def all_entries(self) -> Iterator[tuple[AuditedLedger, AuditedEntry]]:
        """Yield every entry with its ledger."""
        for ledger in self.ledgers:
            for one in ledger.entries:
                yield ledger, one
