"""Reports for auditors, as data (format §38.3). Times are RFC 3339; digests and ids are in hex."""

from typing import Literal, NotRequired, TypedDict

__all__ = [
    "AuditCheckpointDict",
    "AuditClaimDict",
    "AuditControlDict",
    "AuditDict",
    "AuditEntryDict",
    "AuditEvidenceDict",
    "AuditExceptionDict",
    "AuditFilterDict",
    "AuditItemDict",
    "AuditLedgerDict",
    "AuditMediumDict",
    "AuditMovementDict",
    "AuditPersonDict",
    "AuditReadDict",
    "AuditReceiptDict",
    "AuditResetDict",
    "AuditRootDict",
    "AuditRootRoleDict",
    "AuditRuleDict",
    "AuditRulesDict",
    "AuditRulesOfBundleDict",
    "AuditSealDict",
    "AuditSignatureDict",
    "AuditTimesDict",
    "AuditTodaysRootDict",
    "AuditUserDict",
    "AuditVerdictDict",
]


class AuditTodaysRootDict(TypedDict):
    """The root that a report relies on."""

    version: int
    """Its version."""
    fingerprint: str
    """``SHA256:`` and its digest."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditReadDict(TypedDict):
    """What was read."""

    ledgers: list[str]
    """The names of their folders, or ``this machine``."""
    locations: list[str]
    """The names of the locations of bundles."""
    receipts: int
    """How many."""


class AuditFilterDict(TypedDict):
    """What the report is limited to."""

    bundle: str | None
    """The first digits of a bundle id."""
    since: str | None
    """When it begins."""
    until: str | None
    """When it ends."""
    item: str | None
    """A tag, or a name."""
    person: str | None
    """A name, a user, or the first digits of a key id."""


class AuditVerdictDict(TypedDict):
    """The verdict, and how many there are of everything."""

    opinion: Literal["clean", "exceptions", "contradiction"]
    """Whether the evidence is consistent, and whether there are exceptions."""
    statement: str
    """The same as a sentence."""
    exceptions: int
    """How many."""
    kinds: dict[str, int]
    """How many of each kind."""
    bundles: int
    """How many are in the report."""
    bundles_left_out: int
    """How many the filter leaves out."""
    outcomes: dict[str, int]
    """How many bundles have each outcome."""
    entries: int
    """Of all ledgers."""
    receipts: int
    """How many were read."""


class AuditExceptionDict(TypedDict):
    """Something that is not as it should be."""

    kind: str
    """One of format §38.2."""
    title: str
    """The kind, for people."""
    statement: str
    """A sentence."""
    note: str | None
    """What others wrote of it."""
    at: str | None
    """When, by the clock of the machine."""
    bundle: str | None
    """The bundle that it is about."""
    ledger: str | None
    """The label of the ledger that it is in."""
    entry: int | None
    """The number of the entry."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditItemDict(TypedDict):
    """An item of a bundle."""

    kind: str
    """Its kind."""
    tag: str
    """``name:version``."""
    digest: str
    """Its digest."""
    files: int | None
    """How many; None: only a receipt names it."""
    size: int | None
    """In bytes; None: only a receipt names it."""
    licences: list[str] | None
    """As a bill beside the bundle has them, unverified; None: there is no bill."""


class AuditSealDict(TypedDict):
    """How a bundle is sealed."""

    index: str
    """The bundle id of the index."""
    recipients: int
    """How many."""
    opened: bool
    """Whether an identity opened it for the report."""


class AuditEntryDict(TypedDict):
    """An entry of a ledger about a bundle."""

    ledger: str
    """The label of the ledger."""
    entry: int
    """The number of the entry."""
    event: str
    """One of format §17.3."""
    at: str
    """When, by the clock of the machine."""
    signed_by: dict[str, list[str]]
    """The ids of the keys that were counted, by role."""
    note: str
    """What the entry says for people."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditReceiptDict(TypedDict):
    """A receipt about a bundle."""

    result: Literal["passed", "failed"]
    """What became of it."""
    reason: str
    """Of a refusal."""
    verified_at: str | None
    """When, by the clock of the site."""
    origin: str
    """The ledger that it is of."""
    entry: int | None
    """The number of the entry."""
    size: int
    """How many entries the ledger had."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditMovementDict(TypedDict):
    """A bundle, and what all that was read says of it."""

    bundle: str
    """The bundle id."""
    channel: str | None
    """Its channel, if it is known."""
    sequence: int
    """Its number; 0: none is known."""
    outcome: Literal["imported", "waived", "refused", "exported", "deleted", "seen"]
    """What became of it."""
    partner: Literal[
        "joined", "confirmed", "no receipt", "not imported", "not exported", "one side"
    ]
    """How the two sides are joined (format §38.2)."""
    root_version: int | None
    """Of the root that decided."""
    items: list[AuditItemDict] | None
    """None: nothing that was read names them."""
    size: int | None
    """In bytes, unpacked."""
    labels: dict[str, str]
    """What the builders signed."""
    expires_at: str | None
    """When the bundle expires."""
    sealed: AuditSealDict | None
    """None: it is not sealed, or was not read."""
    entries: list[AuditEntryDict]
    """In the order of the ledgers."""
    receipts: list[AuditReceiptDict]
    """Those that were verified."""
    evidence: list[int]
    """Numbers of evidence."""
    attachments: list[str]
    """The names of the files beside it."""


class AuditPersonDict(TypedDict):
    """A key of the accepted roots."""

    key: str
    """The key id."""
    name: str | None
    """Whose it is, as a root says."""
    algorithm: str
    """Of its signatures."""
    roles: list[str]
    """In any accepted root."""
    revoked: bool
    """Whether today's root revokes it."""
    revoked_since: str | None
    """Since when, if the root says so."""
    counted: dict[str, int]
    """By role, for how many bundles."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditUserDict(TypedDict):
    """Who acted, by what a machine says of itself."""

    user: str
    """The name of the user."""
    host: str
    """The name of the machine."""
    ledger: str
    """The label of the ledger."""
    entries: int
    """How many."""


class AuditClaimDict(TypedDict):
    """A time that a clock of the site said."""

    what: str
    """What happened, and the label of the ledger."""
    at: str
    """When."""


class AuditTimesDict(TypedDict):
    """Three kinds of time, which are never made one."""

    bundle: str
    """The bundle id."""
    claimed: list[AuditClaimDict]
    """What clocks of the site said."""
    stamped: str | None
    """By when an authority had seen the builders' signatures."""
    index: list[str]
    """Label and number of each entry."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditMediumDict(TypedDict):
    """Where a bundle was read."""

    bundle: str
    """The bundle id."""
    source: str | None
    """The name of the location; None: no location that was read has it."""
    form: NotRequired[str]
    """``folder``, ``file``, or a kind of server."""
    volumes: NotRequired[str | None]
    """Which of how many, by their labels."""
    stored_size: NotRequired[int]
    """In bytes, packed."""
    packs: NotRequired[int]
    """How many."""
    sealed_to: NotRequired[int | None]
    """How many recipients."""
    opened: NotRequired[bool]
    """Whether an identity opened it for the report."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditRuleDict(TypedDict):
    """A rule of admission, applied to a bundle by today's root."""

    result: Literal["yes", "no", "not checked"]
    """Whether it holds."""
    reason: str
    """Why not; or where the ledger says so."""


class AuditSignatureDict(TypedDict):
    """A signature beside a bundle."""

    role: str
    """``builder``, ``scanner`` or ``approver``."""
    name: str | None
    """What is attested."""
    decision: str | None
    """``accept`` or ``reject``."""
    key: str
    """The key id."""
    person: str | None
    """Whose key it is."""
    counts: bool
    """Whether it counts by today's root."""
    problem: str | None
    """Why it does not."""
    kept: bool
    """Whether the location has lost it, and this machine kept it when it imported the bundle."""
    stamped: str | None
    """By when it existed."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditRulesOfBundleDict(TypedDict):
    """The rules of admission, applied to one bundle."""

    bundle: str
    """The bundle id."""
    results: dict[str, AuditRuleDict]
    """By the number of the rule."""
    signatures: list[AuditSignatureDict]
    """By file name."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditRulesDict(TypedDict):
    """The rules of admission (format §7.5), and the bundles that they were applied to."""

    rules: dict[str, str]
    """What each rule demands, by its number."""
    bundles: list[AuditRulesOfBundleDict]
    """Those that were read."""


class AuditCheckpointDict(TypedDict):
    """The checkpoint of a ledger."""

    size: int
    """How many entries it covers."""
    root: str
    """Of the tree over them."""
    recorder: str
    """The id of the key that signed it."""
    person: str | None
    """Whose key it is."""
    other_signatures: list[str]
    """The names of witnesses, whose signatures were not verified."""
    stamped: str | None
    """By when it existed."""


class AuditResetDict(TypedDict):
    """The entry ``reset`` by which a ledger was put aside."""

    ledger: str
    """The label of the ledger that it began."""
    entry: int
    """Its number there."""
    at: str
    """The claimed time."""
    user: str
    """Who reset it, as the machine says; empty if it does not."""
    host: str
    """That machine, as it says."""
    key: str | None
    """The key id of the key that they used."""
    note: str
    """The reason, in the words of that person, and of the machine."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditLedgerDict(TypedDict):
    """A ledger that was read."""

    label: str
    """``L1``, ``L2``, …"""
    origin: str
    """Its name (format §28.2)."""
    side: Literal["imports", "exports", "unknown"]
    """What it records."""
    source: str
    """The name of its folder, or ``this machine``."""
    first: int
    """The number of the first entry that was shown."""
    entries: int
    """How many."""
    begins: str | None
    """The claimed time of the first."""
    ends: str | None
    """The claimed time of the last."""
    events: dict[str, int]
    """How many of each."""
    fault: str | None
    """What is wrong with it."""
    put_aside: AuditResetDict | None
    """None: no reset that was read put it aside."""
    checkpoint: AuditCheckpointDict | None
    """None: none that counts."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditRootRoleDict(TypedDict):
    """A role of a root."""

    keys: int
    """How many."""
    threshold: int
    """How many of them are needed."""


class AuditRootDict(TypedDict):
    """A root of the chain."""

    version: int
    """Its version."""
    fingerprint: str
    """``SHA256:`` and its digest."""
    reason: str
    """Why it is accepted."""
    created_at: str | None
    """When it was made, by its maker's clock."""
    expires_at: str | None
    """None: never."""
    roles: dict[str, AuditRootRoleDict]
    """By name."""
    changes: list[str]
    """From the root before it."""
    evidence: list[int]
    """Numbers of evidence."""


class AuditControlDict(TypedDict):
    """A control, and where evidence for it is."""

    standard: str
    """Whose control it is."""
    id: str
    """Its number there."""
    subject: str
    """What it asks for."""
    sections: list[str]
    """The members of the report that have the evidence."""


class AuditEvidenceDict(TypedDict):
    """A piece of evidence."""

    number: int
    """By which claims name it."""
    what: str
    """What it shows."""
    file: str
    """Its name in the folder of evidence."""
    sha256: str
    """Of the file."""
    command: str
    """What checks it there, without airgap."""


class AuditDict(TypedDict):
    """A report for auditors."""

    type: Literal["airgap.audit"]
    """What the report is."""
    format: Literal[1]
    """Of this object."""
    site: str
    """The site's id."""
    made_at: str
    """The time of the report."""
    tool: str
    """What made it."""
    root: AuditTodaysRootDict
    """The root that it relies on."""
    read: AuditReadDict
    """What was read."""
    filter: AuditFilterDict | None
    """None: nothing is left out."""
    verdict: AuditVerdictDict
    """The verdict."""
    exceptions: list[AuditExceptionDict]
    """By kind."""
    moved: list[AuditMovementDict]
    """By when they are first heard of."""
    people: list[AuditPersonDict]
    """By name."""
    users: list[AuditUserDict]
    """By name."""
    times: list[AuditTimesDict]
    """Of each bundle."""
    media: list[AuditMediumDict]
    """Of each bundle."""
    rules: AuditRulesDict
    """Of each bundle that was read."""
    ledgers: list[AuditLedgerDict]
    """In the order in which they were read."""
    roots: list[AuditRootDict]
    """By version."""
    controls: list[AuditControlDict]
    """By standard."""
    not_shown: list[str]
    """Sentences."""
    evidence: list[AuditEvidenceDict]
    """By number."""
