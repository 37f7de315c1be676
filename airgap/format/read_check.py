"""Reads the result of a check strictly: exactly what a writer would have written (format §36.4)."""

import re
from collections.abc import Collection
from typing import Any, Final

from airgap.errors import CorruptError
from airgap.format import check_files, intoto, limits, names
from airgap.format.check_result import (
    EXTENSION,
    KINDS,
    LEVELS,
    MILLION,
    PREDICATE,
    TESTS,
    ArchiveCheck,
    ArchiveTest,
    CheckProblem,
    PackSample,
    encode_check,
)
from airgap.format.fields import Fields
from airgap.format.intoto import InTotoStatement
from airgap.format.shard import Shard, parse_shard

__all__ = ["SEED", "decode_check"]

SEED: Final = re.compile(r"[-._A-Za-z0-9]{1,64}")
_WHAT: Final = "result"
_HINT: Final = "Get the result again from the machine that made the check."
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TEXT_CHARACTERS: Final = 400


def decode_check(raw: bytes) -> ArchiveCheck:
    """Decode and check what was signed; its signature is not verified here.

    Raises:
        CorruptError: it breaks a rule of format §36.4.
    """
    try:
        statement = intoto.decode_statement(raw, _WHAT, limits.CHECK_BYTES)
        unprintable = intoto.find_unprintable([*statement.subjects, statement.predicate])
        if unprintable is not None:
            raise _error(f"has a text that is not printable: {unprintable}")
        check = _read_check(statement)
    except CorruptError as error:
        raise CorruptError(error.message, _HINT) from error
    if encode_check(check) != raw:  # another order of keys, an unknown member, a lie in a name
        raise _error("is not in the form that airgap writes")
    return check


def _read_check(statement: InTotoStatement) -> ArchiveCheck:
    if statement.predicate_type != PREDICATE:
        raise _error("is a statement of another kind")
    predicate = _open(statement.predicate, _PREDICATE)
    extension = _open(predicate.table(EXTENSION, 16), _EXTENSION)
    tests, failed, warned = _read_tests(predicate)
    shards = extension.array("shards", limits.SHARDS)
    sample = _read_sample(extension)
    sampled = _read_sampled(predicate)
    check = ArchiveCheck(
        archive=extension.text("archive"),
        state=_read_digest(statement.subjects[0]),
        bundles=extension.integer("bundles", high=limits.DEPOT_BUNDLES),
        location=extension.text("location", _TEXT_CHARACTERS),
        began=_read_time(extension, "began"),
        ended=_read_time(extension, "ended"),
        shard=_read_shard(extension),
        packs=extension.integer("packs"),
        packs_read=extension.integer("packsRead"),
        bytes_read=extension.integer("bytes"),
        tests=tests,
        tool=extension.text("tool", limits.TOOL_CHARACTERS),
        problems=_read_problems(extension),
        problem_count=extension.integer("problemCount"),
        failed=failed,
        warned=warned,
        mended=extension.sorted_texts("mended", limits.CHECK_PROBLEMS),
        sample=sample,
        sampled=sampled,
        shards=tuple(_read_hex(digest) for digest in shards),
    )
    _demand_sense(check)
    return check


def _demand_sense(check: ArchiveCheck) -> None:
    """Refuse a result that contradicts itself: one that says more than was read, above all."""
    if not check_files.is_archive_id(check.archive) or check.ended < check.began:
        raise _error("has no archive, or ended before it began")
    if (check.packs_read > check.packs) or (not check.sample and check.packs_read != check.packs):
        raise _error("says that other packs were read than there are")
    if (check.sampled is not None) != (check.sample is not None and not check.shards):
        raise _error("does not name the packs of its sample")
    if check.shards and str(check.shard) != "1/1":
        raise _error("is merged, and of one shard")
    listed = {(one.level, one.test) for one in check.problems}
    levels = {("failed", test) for test in check.failed} | {
        ("warned", test) for test in check.warned
    }
    found = {test for level, test in listed if level == "failed"}
    if found != set(check.failed) or not levels <= listed:
        raise _error("lists other problems than its tests found")
    full = min(check.problem_count, limits.CHECK_PROBLEMS)
    if len(check.problems) != full or list(check.problems) != sorted(check.problems):
        raise _error("does not list its problems in order")


def _read_tests(
    predicate: Fields,
) -> tuple[tuple[ArchiveTest, ...], tuple[ArchiveTest, ...], tuple[ArchiveTest, ...]]:
    """Return the tests that were made, those that failed, and those that warned."""
    passed, warned, failed = (
        _find_tests(predicate.sorted_texts(key, len(TESTS)))
        for key in ("passedTests", "warnedTests", "failedTests")
    )
    made = tuple(sorted({*passed, *warned, *failed}))
    if len(made) != len(passed) + len(warned) + len(failed):
        raise _error("has a test in two lists")
    return made, failed, warned


def _find_tests(texts: tuple[str, ...]) -> tuple[ArchiveTest, ...]:
    tests = tuple(test for test in TESTS if test in texts)
    if len(tests) != len(texts):
        raise _error("has a test that airgap does not make")
    return tests


def _read_sample(extension: Fields) -> PackSample | None:
    if extension.is_nil("sample"):
        return None
    sample = _open(extension.table("sample", 3), {"olderThan", "parts", "seed"})
    seed = sample.text("seed", limits.SEED_CHARACTERS)
    if not SEED.fullmatch(seed):
        raise _error("has a seed that airgap does not use")
    older_than = None if sample.is_nil("olderThan") else sample.time("olderThan")
    return PackSample(sample.integer("parts", low=1, high=MILLION), seed, older_than)


def _read_sampled(predicate: Fields) -> bytes | None:
    """Return the SHA-256 of the packs of a sample; encoding again compares the rest."""
    lists = predicate.array("configuration", 2)
    return _read_digest(lists[1]) if lists[1:] else None


def _read_problems(extension: Fields) -> tuple[CheckProblem, ...]:
    return tuple(map(_read_problem, extension.array("problems", limits.CHECK_PROBLEMS)))


def _read_problem(value: Any) -> CheckProblem:  # noqa: ANN401
    problem = _open(value, {"kind", "level", "name", "neededBy", "test", "text"})
    level = next((level for level in LEVELS if level == problem.text("level")), None)
    test = next((test for test in TESTS if test == problem.text("test")), None)
    kind = next((kind for kind in KINDS if kind == problem.text("kind")), None)
    needed_by = problem.sorted_texts("neededBy", limits.CHECK_NEEDED_BY)
    if level is None or test is None or kind is None or not all(map(names.is_bundle_id, needed_by)):
        raise _error("has a problem of an unknown level, test or kind")
    name, text = problem.text("name", _TEXT_CHARACTERS), problem.text("text", _TEXT_CHARACTERS)
    return CheckProblem(level, test, name, kind, text, needed_by)


def _read_shard(extension: Fields) -> Shard:
    try:
        return parse_shard(extension.text("shard"))
    except ValueError as error:
        raise _error("is of no shard") from error


def _read_time(extension: Fields, key: str) -> str:
    text = extension.text(key)
    if not _TIME.fullmatch(text):
        raise _error(f"has a time that is not RFC 3339 in '{key}'")
    return text


def _read_digest(value: Any) -> bytes:  # noqa: ANN401
    """Return the digest of a resource descriptor."""
    digest = value.get("digest") if type(value) is dict else None
    return _read_hex(digest.get("sha256") if type(digest) is dict else None)


def _read_hex(text: Any) -> bytes:  # noqa: ANN401
    if type(text) is not str or not names.is_bundle_id(text):
        raise _error("has a digest that is not 64 lower-case hex digits")
    return bytes.fromhex(text)


def _open(value: Any, keys: Collection[str]) -> Fields:  # noqa: ANN401
    return Fields(value, frozenset(keys), _WHAT)


def _error(problem: str) -> CorruptError:
    return CorruptError(f"The result {problem}.", _HINT)


_PREDICATE: Final = frozenset(
    {EXTENSION, "configuration", "failedTests", "passedTests", "result", "warnedTests"}
)
_EXTENSION: Final = frozenset(
    {
        "archive",
        "began",
        "bundles",
        "bytes",
        "ended",
        "location",
        "mended",
        "packs",
        "packsRead",
        "problemCount",
        "problems",
        "sample",
        "shard",
        "shards",
        "tool",
    }
)
