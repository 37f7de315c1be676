"""The result of a check of an archive, as a statement that is signed (format §36.4).

A public form (in-toto's test result), so that an auditor can read and verify it with programs of
others. It has one form, is bounded, and every text in it can be read on a terminal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from airgap.format import intoto, limits
from airgap.format.intoto import InTotoStatement
from airgap.format.shard import Shard

__all__ = [
    "EXTENSION",
    "KINDS",
    "LEVELS",
    "MILLION",
    "PREDICATE",
    "TESTS",
    "ArchiveCheck",
    "ArchiveTest",
    "CheckProblem",
    "Level",
    "PackSample",
    "ProblemKind",
    "Verdict",
    "encode_check",
    "list_problems",
]

ArchiveTest = Literal[
    "attachments", "manifests", "packs", "parity", "records", "roots", "signatures", "stamps"
]
TESTS: Final[tuple[ArchiveTest, ...]] = get_args(ArchiveTest)
Level = Literal["failed", "warned"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
ProblemKind = Literal["corrupt", "due", "mended", "missing", "not-trusted"]
KINDS: Final[tuple[ProblemKind, ...]] = get_args(ProblemKind)
Verdict = Literal["FAILED", "WARNED", "PASSED"]
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"
EXTENSION: Final = "airgap:check/v1"
MILLION: Final = 1_000_000
"""A sample is so many parts of it."""


@dataclass(frozen=True, slots=True, order=True)
class CheckProblem:
    """What is wrong with one file. ``needed_by`` are the ids of bundles that need a pack."""

    level: Level
    test: ArchiveTest
    name: str
    kind: ProblemKind
    text: str
    needed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackSample:
    """Which packs are read: so many parts of a million, by a seed, that nobody read for a time.

    ``older_than`` is in seconds; None: whenever they were read.
    """

    parts: int
    seed: str
    older_than: int | None = None


@dataclass(frozen=True, slots=True)
class ArchiveCheck:
    """What a check of a shard of an archive has found, or that of all shards, merged.

    ``state`` is that of the archive (format §36.2), ``sampled`` the SHA-256 of the packs of a
    sample; times are RFC 3339 in UTC.
    """

    archive: str
    state: bytes
    bundles: int
    location: str
    began: str
    ended: str
    shard: Shard
    packs: int
    packs_read: int
    bytes_read: int
    tests: tuple[ArchiveTest, ...]
    """Those that were made, sorted."""
    tool: str
    problems: tuple[CheckProblem, ...] = ()
    """Sorted; as many as are listed."""
    problem_count: int = 0
    failed: tuple[ArchiveTest, ...] = ()
    warned: tuple[ArchiveTest, ...] = ()
    mended: tuple[str, ...] = ()
    sample: PackSample | None = None
    sampled: bytes | None = None
    shards: tuple[bytes, ...] = ()
    """Of a merged result, the SHA-256 of each shard's."""

    @property
    def verdict(self) -> Verdict:
        """The worst of what the tests found."""
        return "FAILED" if self.failed else "WARNED" if self.warned else "PASSED"


def list_problems(problems: Iterable[CheckProblem]) -> tuple[CheckProblem, ...]:
    """Return as many problems as a result lists, sorted: of each test and level at least one."""
    ordered = sorted(problems)
    first = {(one.level, one.test): one for one in reversed(ordered)}
    rest = [one for one in ordered if first[one.level, one.test] is not one]
    return tuple(sorted([*first.values(), *rest[: limits.CHECK_PROBLEMS - len(first)]]))


def encode_check(check: ArchiveCheck) -> bytes:
    """Encode the statement that is signed."""
    state = {"sha256": check.state.hex()}
    lists: list[dict[str, Any]] = [{"digest": state, "name": "bundles"}]
    if check.sampled is not None:
        lists.append({"digest": {"sha256": check.sampled.hex()}, "name": "packs"})
    passed = set(check.tests) - set(check.failed) - set(check.warned)
    predicate = {
        EXTENSION: _encode_extension(check),
        "configuration": lists,
        "failedTests": list(check.failed),
        "passedTests": sorted(passed),
        "result": check.verdict,
        "warnedTests": list(check.warned),
    }
    subject = {"digest": state, "name": "archive"}
    return intoto.encode_statement(InTotoStatement([subject], PREDICATE, predicate))


def _encode_extension(check: ArchiveCheck) -> dict[str, Any]:
    sample = check.sample
    return {
        "archive": check.archive,
        "began": check.began,
        "bundles": check.bundles,
        "bytes": check.bytes_read,
        "ended": check.ended,
        "location": check.location,
        "mended": list(check.mended),
        "packs": check.packs,
        "packsRead": check.packs_read,
        "problemCount": check.problem_count,
        "problems": _encode_problems(check.problems),
        "sample": sample
        and {"olderThan": sample.older_than, "parts": sample.parts, "seed": sample.seed},
        "shard": str(check.shard),
        "shards": [digest.hex() for digest in check.shards],
        "tool": check.tool,
    }


def _encode_problems(problems: Sequence[CheckProblem]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.kind,
            "level": one.level,
            "name": one.name,
            "neededBy": list(one.needed_by),
            "test": one.test,
            "text": one.text,
        }
        for one in problems
    ]
