"""What the functions of ``airgap.archive`` return."""

from typing import Literal, TypedDict

from airgap.api.results.timestamps import AddedStampDict

__all__ = [
    "ArchiveAdditionDict",
    "ArchiveCheckDict",
    "ArchiveDiagnosisDict",
    "ArchiveFileDict",
    "ArchiveFindingDict",
    "ArchiveHoldDict",
    "ArchiveHoldInForceDict",
    "ArchiveListingDict",
    "ArchiveProblemDict",
    "ArchiveRecordDict",
    "ArchiveReleaseDict",
    "ArchiveRenewalDict",
    "ArchiveRenewalProblemDict",
    "ArchiveSampleDict",
    "ArchiveSignerDict",
    "ArchiveTestsDict",
    "ArchivedBundleDict",
    "ArchivedStandingDict",
    "ArchivedTermsDict",
    "RenewedStampDict",
]

ArchiveTestName = Literal[
    "attachments", "manifests", "packs", "parity", "records", "roots", "signatures", "stamps"
]


class ArchivedTermsDict(TypedDict):
    """A bundle that an archive keeps, as ``add`` left it."""

    bundle: str
    """The bundle id."""
    record: str
    """The id of the record that says so."""
    new: bool
    """Whether the record was written now."""
    class_name: str
    """The class of the policy."""
    keep_until: str
    """The end of its retention by this record."""
    bases: list[str]
    """The ids of the bundles that it builds on."""
    evidence: int
    """How many files of evidence there are."""
    escrow: Literal["named", "opened"] | None
    """How it is known that an escrow opens a sealed bundle; None: it is not sealed."""


class ArchiveAdditionDict(TypedDict):
    """What ``add`` has done."""

    archive: str
    """The archive, as it was given."""
    bundles: list[ArchivedTermsDict]
    """Each bundle, the oldest first."""


class ArchiveHoldInForceDict(TypedDict):
    """A hold that nobody has lifted."""

    id: str
    """The id of its record."""
    since: str
    """When it was put on the bundle."""
    by: str
    """Who did it, by the machine; may be empty."""
    reason: str
    """Why, in the words of that person."""


class ArchivedStandingDict(TypedDict):
    """Whether and until when a bundle is kept."""

    bundle: str
    """The bundle id."""
    present: bool
    """Whether its manifest is there."""
    kept: bool
    """Whether something keeps it."""
    classes: list[str]
    """The classes that it was added under."""
    archived_at: str | None
    """When it was added first."""
    keep_until: str | None
    """The end of its retention, also for the sake of those that build on it."""
    holds: list[ArchiveHoldInForceDict]
    """The holds in force."""
    released: str | None
    """The id of the record that let it go."""
    bases: list[str]
    """The ids of the bundles that it builds on."""
    needed_by: list[str]
    """The ids of the kept bundles that build on it."""


class ArchiveListingDict(TypedDict):
    """What an archive holds."""

    archive: str
    """Where it is."""
    bundles: list[ArchivedStandingDict]
    """Those with a record; what ends first comes first, and what was let go comes last."""
    unarchived: list[str]
    """The ids of bundles without a record."""
    damaged_records: dict[str, str]
    """Why a record cannot be read, by the name of its file."""


class ArchiveSignerDict(TypedDict):
    """Who signed a record."""

    role: Literal["recorder", "approver"]
    """The role of the key."""
    key: str
    """The key id."""
    root: int
    """The version of the newest root that says so."""


class ArchiveRecordDict(TypedDict):
    """A record of a bundle."""

    id: str
    """Its id."""
    event: Literal["archived", "held", "released"]
    """What it says."""
    time: str
    """When it was written, by the writer's clock."""
    by: str
    """Who did it, by the machine; may be empty."""
    reason: str
    """Why, in the words of that person."""
    hold: str | None
    """The hold that is lifted."""
    class_name: str | None
    """The class that it was archived under."""
    keep_until: str | None
    """The end of the retention."""
    escrow: Literal["named", "opened"] | None
    """How it is known that an escrow opens a sealed bundle."""
    signed_by: list[ArchiveSignerDict]
    """Those whom the site's roots name."""
    does_not_count: str | None
    """Why a release does not count."""


class ArchiveFileDict(TypedDict):
    """A file of evidence, compared with the record that names it."""

    name: str
    """Its name."""
    sha256: str
    """The digest that it should have."""
    size: int
    """The bytes that it should have."""
    verdict: Literal["intact", "missing", "damaged"]
    """What became of it."""


class ArchivedBundleDict(ArchivedStandingDict):
    """The records of one bundle, and its evidence."""

    archive: str
    """Where the archive is."""
    tombstone: bool
    """Whether it was deleted, and what is left proves what was there."""
    records: list[ArchiveRecordDict]
    """By time."""
    missing_records: list[str]
    """The ids of records that others name, and that are not there."""
    evidence: list[ArchiveFileDict]
    """By name."""


class ArchiveHoldDict(TypedDict):
    """A hold that was put on a bundle."""

    bundle: str
    """The bundle id."""
    hold: str
    """The id of the hold."""
    reason: str
    """Why."""
    new: bool
    """Whether it was written now."""


class ArchiveReleaseDict(TypedDict):
    """A release, and who has signed it."""

    bundle: str
    """The bundle id."""
    hold: str | None
    """The hold that is lifted; None: the bundle itself is let go."""
    reason: str
    """Why."""
    time: str
    """When it was written."""
    record: str
    """The id of its record."""
    digest: str
    """``SHA256:`` and the digest that further approvers give."""
    signed_by: list[str]
    """The ids of the keys that count."""
    needed: int
    """How many of them it needs."""
    role: Literal["recorder", "approver"]
    """The role that they must have."""
    file: str | None
    """The file that others must sign; None: it is in the archive."""


class ArchiveSampleDict(TypedDict):
    """Which packs are read."""

    percent: str
    """How many of a hundred."""
    older_than: int | None
    """Those that nobody read for so many seconds."""
    seed: str
    """What the sample was chosen by."""


class ArchiveTestsDict(TypedDict):
    """The tests of a check by their result."""

    passed: list[ArchiveTestName]
    """Nothing is wrong."""
    warned: list[ArchiveTestName]
    """Something is to be looked at."""
    failed: list[ArchiveTestName]
    """Something is wrong."""


class ArchiveProblemDict(TypedDict):
    """What is wrong with one file."""

    level: Literal["failed", "warned"]
    """How bad it is."""
    test: ArchiveTestName
    """The test that shows it."""
    name: str
    """The name of the file."""
    kind: Literal["corrupt", "due", "mended", "missing", "not-trusted"]
    """What is wrong."""
    text: str
    """The same for people."""
    needed_by: list[str]
    """The ids of the bundles that need a pack."""


class ArchiveCheckDict(TypedDict):
    """What a check has found, or those of all shards."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    """The worst of all tests."""
    archive: str | None
    """The id of the archive; None: there is no signed result."""
    location: str
    """Where it is."""
    state: str
    """A digest over what the archive had."""
    bundles: int
    """How many bundles it has."""
    shard: str
    """The part that was checked, as ``3/64``."""
    began: str
    """When the check began."""
    ended: str
    """When it ended."""
    packs: int
    """How many packs the part has."""
    packs_read: int
    """How many were read."""
    packs_read_before: int
    """How many of them by a run that was interrupted."""
    bytes_read: int
    """The bytes of the packs that were read."""
    sample: ArchiveSampleDict | None
    """Which packs were read; None: all."""
    tests: ArchiveTestsDict
    """The tests that were made."""
    problems: list[ArchiveProblemDict]
    """The worst first: at least one of each test and level, and as many as a result lists."""
    problem_count: int
    """How many there are."""
    mended: list[str]
    """The names of the packs that were written again."""
    shards: list[str]
    """Of a merged result, the SHA-256 of each shard's."""
    stored: str | None
    """The name of the result in the archive."""


class RenewedStampDict(AddedStampDict):
    """A time stamp that was added."""

    bundle: str | None
    """The bundle that it is about; None: an index of the archive."""


class ArchiveRenewalProblemDict(TypedDict):
    """Why something could not be renewed."""

    kind: str
    """The kind of the error."""
    message: str
    """What happened."""


class ArchiveRenewalDict(TypedDict):
    """What ``renew`` has done."""

    location: str
    """Where the archive is."""
    added: list[RenewedStampDict]
    """The stamps that were added."""
    requests: list[str]
    """The paths of the requests that were written."""
    unanswered: list[str]
    """What has no answer yet."""
    index: str | None
    """The name of the index that was made."""
    problems: list[ArchiveRenewalProblemDict]
    """What could not be renewed."""


class ArchiveFindingDict(TypedDict):
    """One sentence about what protects an archive."""

    level: Literal["ok", "note", "problem"]
    """Whether there is something to do."""
    about: str
    """The topic."""
    message: str
    """What was found."""
    hint: str
    """What to do; may be empty."""


class ArchiveDiagnosisDict(TypedDict):
    """What protects an archive."""

    archive: str
    """Where it is."""
    locked: int
    """How many files were locked, or were locked long enough, because of ``lock``."""
    healthy: bool
    """Whether there is no problem."""
    findings: list[ArchiveFindingDict]
    """In the order in which to fix problems."""
