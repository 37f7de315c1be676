"""Results of checks: one form, bounded, and none that contradicts itself (format §36)."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airgap.errors import CorruptError
from airgap.format import check_files, intoto, limits
from airgap.format.check_result import (
    EXTENSION,
    ArchiveCheck,
    CheckProblem,
    encode_check,
    list_problems,
)
from airgap.format.read_check import decode_check
from airgap.format.shard import Shard, parse_shard
from tests.support.checks import make_bad_check, make_check, make_merged, make_sampled
from tests.support.sides import REPOSITORY

KINDS = {
    "that passed": make_check(),
    "that failed": make_bad_check(),
    "of a sample": make_sampled(),
    "merged": make_merged(),
}
VECTORS = REPOSITORY / "tests/vectors/checks"


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_read_as_it_was_written(kind: str) -> None:
    assert decode_check(encode_check(KINDS[kind])) == KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_of_a_result_stay_as_they_are(kind: str) -> None:
    assert (VECTORS / f"{kind.replace(' ', '-')}.json").read_bytes() == encode_check(KINDS[kind])


def test_it_is_a_test_result_of_in_toto() -> None:
    document = json.loads(encode_check(make_bad_check()))
    predicate = document["predicate"]

    assert document["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert document["subject"] == [{"name": "archive", "digest": {"sha256": "11" * 32}}]
    assert predicate["result"] == "FAILED"
    assert (predicate["failedTests"], predicate["warnedTests"]) == (["packs"], ["signatures"])
    assert "manifests" in predicate["passedTests"]


def change(check: ArchiveCheck, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """Return what is signed of a result, with a change to its predicate."""
    document = json.loads(encode_check(check))
    edit(document["predicate"])
    return intoto.encode_json(document)


def extend(**members: Any) -> Callable[[dict[str, Any]], object]:  # noqa: ANN401
    return lambda predicate: predicate[EXTENSION].update(members)


def _claim_a_pass(predicate: dict[str, Any]) -> None:
    predicate["passedTests"] = sorted([*predicate["passedTests"], "packs"])
    predicate["failedTests"] = []
    predicate["result"] = "WARNED"


@pytest.mark.parametrize(
    ("check", "edit"),
    [
        (make_check(), extend(packsRead=121)),
        (make_check(), extend(packsRead=119)),
        (make_check(), extend(packs=119)),
        (make_check(), extend(bundles=-1)),
        (make_check(), extend(bytes=2**53)),
        (make_check(), extend(began="2031-05-01T03:00:00Z")),
        (make_check(), extend(ended="2031-05-01")),
        (make_check(), extend(archive="0123")),
        (make_check(), extend(shard="65/64")),
        (make_check(), extend(shard="0/64")),
        (make_check(), extend(shard="03/64")),
        (make_check(), extend(shards=["33" * 32])),
        (make_check(), extend(shards=["GG" * 32])),
        (make_check(), extend(location="a\u202eb")),
        (make_check(), extend(location="a" * 401)),
        (make_check(), extend(problemCount=1)),
        (make_check(), extend(more=1)),
        (make_check(), lambda predicate: predicate.update(passedTests=["packs", "manifests"])),
        (make_check(), lambda predicate: predicate.update(passedTests=["luck"])),
        (make_check(), lambda predicate: predicate.update(failedTests=["packs"])),
        (make_check(), lambda predicate: predicate.update(result="FAILED")),
        (make_check(), lambda predicate: predicate.update(configuration=[])),
        (make_check(), lambda predicate: predicate[EXTENSION].pop("mended")),
        (make_bad_check(), _claim_a_pass),
        (make_bad_check(), extend(problems=[])),
        (make_bad_check(), lambda predicate: predicate[EXTENSION]["problems"].reverse()),
        (make_bad_check(), lambda predicate: predicate[EXTENSION]["problems"][0].update(kind="x")),
        (make_bad_check(), lambda predicate: predicate[EXTENSION]["problems"][0].update(test="x")),
        (
            make_bad_check(),
            lambda predicate: predicate[EXTENSION]["problems"][0].update(neededBy=["ab"]),
        ),
        (make_sampled(), lambda predicate: predicate["configuration"].pop()),
        (make_sampled(), extend(sample=None)),
        (make_sampled(), lambda predicate: predicate[EXTENSION]["sample"].update(parts=0)),
        (make_sampled(), lambda predicate: predicate[EXTENSION]["sample"].update(seed="a b")),
        (make_sampled(), lambda predicate: predicate[EXTENSION]["sample"].update(olderThan=-1)),
    ],
)
def test_a_result_is_refused_that_was_changed(
    check: ArchiveCheck, edit: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(CorruptError):
        decode_check(change(check, edit))


def test_another_statement_is_not_a_result() -> None:
    document = json.loads(encode_check(make_check())) | {"predicateType": "https://a.example"}

    with pytest.raises(CorruptError, match="of another kind"):
        decode_check(intoto.encode_json(document))


def test_of_many_problems_each_test_and_level_has_one_listed() -> None:
    problems = [
        CheckProblem("failed", "packs", f"packs/{number:05}", "corrupt", "it is damaged")
        for number in range(3 * limits.CHECK_PROBLEMS)
    ]
    problems.append(CheckProblem("warned", "stamps", "z", "due", "its certificate ends"))

    listed = list_problems(problems)

    assert len(listed) == limits.CHECK_PROBLEMS
    assert listed == tuple(sorted(listed))
    assert {one.test for one in listed} == {"packs", "stamps"}


@given(st.binary(min_size=32, max_size=32), st.integers(1, limits.SHARDS))
def test_each_digest_falls_into_exactly_one_shard(digest: bytes, count: int) -> None:
    first = int.from_bytes(digest[:8]) % count + 1

    assert Shard(first, count).takes(digest)
    assert not any(Shard(n, count).takes(digest) for n in {1, count, first % count + 1} - {first})


def test_a_shard_is_read_as_it_is_written() -> None:
    assert str(parse_shard("3/64")) == "3/64"
    for text in ("", "3", "0/4", "5/4", "1/4097", "01/4", "1/4 ", "-1/4", "1/0"):
        with pytest.raises(ValueError, match=r"^.*$"):
            parse_shard(text)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=20))
def test_the_state_does_not_depend_on_the_order(ids: list[bytes]) -> None:
    column = check_files.encode_digests(ids)

    assert check_files.decode_digests(column, 20, "it") == sorted(set(ids))
    assert check_files.compute_state(reversed(ids)) == hashlib.sha256(column).digest()


@pytest.mark.parametrize(
    "column",
    [b"a", b"b" * 32 + b"a" * 32, b"a" * 64, b"a" * 96],
    ids=["cut", "order", "twice", "many"],
)
def test_a_list_in_another_form_is_refused(column: bytes) -> None:
    with pytest.raises(CorruptError):
        check_files.decode_digests(column, 2, "it")


@pytest.mark.parametrize("raw", [b"", b"ab\n", b"0" * 32, b"G" * 32 + b"\n", b"0" * 32 + b"\n\n"])
def test_an_id_in_another_form_is_refused(raw: bytes) -> None:
    with pytest.raises(CorruptError):
        check_files.decode_id(raw)


def test_an_id_is_read_as_it_was_written() -> None:
    assert check_files.decode_id(check_files.encode_id("ab" * 16)) == "ab" * 16
