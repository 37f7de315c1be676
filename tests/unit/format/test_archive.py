"""Records and policies of an archive have one form (format §35.2, §35.4)."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from airgap.errors import ConfigurationError, CorruptError
from airgap.flow.archive.policy import compute_end
from airgap.format.archive import (
    ArchiveRecord,
    EvidenceFile,
    decode_record,
    encode_record,
    evidence_name,
    find_heads,
    is_evidence_name,
    is_named_by,
    parse_record_name,
    record_name,
)
from airgap.format.archive_policy import Span, decode_archive_policy
from tests.support.archive_records import ARCHIVE_RECORDS, BUNDLE
from tests.support.archive_site import POLICY
from tests.support.sides import REPOSITORY

VECTORS = REPOSITORY / "tests/vectors/archive"
NAMES = ("archived", "held", "released-hold", "released")
"""Files that are never made again (tests/vectors/README.md)."""
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("record", ARCHIVE_RECORDS, ids=lambda record: record.event)
def test_a_record_is_read_as_it_was_written(record: ArchiveRecord) -> None:
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize("number", range(len(ARCHIVE_RECORDS)))
def test_a_record_has_the_bytes_of_the_vectors(number: int) -> None:
    raw = (VECTORS / f"{NAMES[number]}.json").read_bytes()
    assert encode_record(ARCHIVE_RECORDS[number]) == raw
    assert decode_record(raw) == ARCHIVE_RECORDS[number]
    document = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":"))
    assert document.encode() == raw  # so that the faults below are refused for nothing else


def _change(**members: object) -> Change:
    return lambda document: document["predicate"].update(members)


FAULTS: dict[str, Change] = {
    "another type": lambda document: document.update(predicateType="airgap:other/v1"),
    "two subjects": lambda document: document["subject"].append(document["subject"][0]),
    "another name": lambda document: document["subject"][0].update(name="other"),
    "an unknown event": _change(event="deleted"),
    "an unknown member": _change(more=1),
    "no reason member": lambda document: document["predicate"].pop("reason"),
    "a hold in archived": _change(hold=None),
    "a text that turns around": _change(by="\u202eann"),
    "a name of 65 characters": _change(by="a" * 65),
    "a long reason": _change(reason="a" * 1001),
    "another site": _change(site="Ward"),
    "a time with a fraction": _change(time="2026-11-30T00:00:00.5Z"),
    "a time of another zone": _change(time="2026-11-30T00:00:00+01:00"),
    "a day that is not": _change(keepUntil="2036-02-30T00:00:00Z"),
    "a leap day that is not": _change(keepUntil="2037-02-29T00:00:00Z"),
    "the year 0": _change(time="0000-01-01T00:00:00Z"),
    "an id that is not one": _change(previous=["ab"]),
    "ids that are not sorted": _change(bases=["cd" * 32, "ab" * 32]),
    "an id twice": _change(bases=["ab" * 32, "ab" * 32]),
    "too many bases": _change(bases=[f"{number:064x}" for number in range(1001)]),
    "an unknown escrow": _change(escrow="maybe"),
    "a class with a space": _change(**{"class": "high risk"}),
    "a policy that is not a digest": _change(policy="archive.toml"),
    "evidence with a path": lambda document: document["predicate"]["evidence"][0].update(
        name="../x"
    ),
    "evidence without a size": lambda document: document["predicate"]["evidence"][0].pop("size"),
    "evidence that is too long": lambda document: document["predicate"]["evidence"][0].update(
        size=1 << 40
    ),
    "evidence that is not sorted": lambda document: document["predicate"]["evidence"].reverse(),
    "evidence twice": lambda document: document["predicate"].update(
        evidence=document["predicate"]["evidence"][:1] * 2
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_record_is_refused_with(fault: str) -> None:
    document = json.loads(encode_record(ARCHIVE_RECORDS[0]))
    FAULTS[fault](document)
    raw = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(CorruptError):
        decode_record(raw)


def test_a_hold_and_a_release_need_a_reason() -> None:
    for record in ARCHIVE_RECORDS[1:]:
        document = json.loads(encode_record(record))
        document["predicate"]["reason"] = "  "
        raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(CorruptError):
            decode_record(raw)


def test_files_are_named_by_their_content() -> None:
    raw = b"the bytes of a record"
    name = record_name(BUNDLE, raw)
    assert parse_record_name(name.rpartition("/")[2]) == (BUNDLE, hashlib.sha256(raw).hexdigest())
    assert is_named_by(name, raw)
    assert not is_named_by(name, raw + b".")
    file = EvidenceFile("a.receipt.json", hashlib.sha256(raw).hexdigest(), len(raw))
    assert is_named_by(evidence_name(BUNDLE, file), raw)
    assert not is_named_by(evidence_name(BUNDLE, file), raw + b".")


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "ä", "a" * 201, "a b"])
def test_evidence_is_not_called(name: str) -> None:
    assert not is_evidence_name(name)


def test_heads_are_the_records_that_no_other_one_names() -> None:
    first, second, third = ARCHIVE_RECORDS[:3]
    assert find_heads([]) == ()
    assert find_heads([("aa", first)]) == ("aa",)
    named = second.previous[0]
    assert find_heads([(named, first), ("bb", second), ("cc", third)]) == ("bb", "cc")


def test_a_policy_is_read() -> None:
    policy = decode_archive_policy(POLICY.encode(), "it")
    high_risk = policy.classes["high-risk"]
    assert (high_risk.keep, high_risk.check_days, high_risk.copies) == (Span(10, "y"), 90, 2)
    assert policy.sha256 == hashlib.sha256(POLICY.encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ("format = 1", "format = true"),
        ("format = 1", ""),
        ("format = 1", "format = 1\nmore = 1"),
        ("[classes.logs]", "[classes.Logs]"),
        ('keep = "10y"', 'keep = "0y"'),
        ('keep = "10y"', 'keep = "1001y"'),
        ('keep = "10y"', "keep = 10"),
        ('keep = "10y"', ""),
        ('keep = "10y"', 'keep = "10y"\nmore = 1'),
        ('check = "90d"', 'check = "1y"'),
        ("copies = 2", "copies = 0"),
        ("copies = 2", "copies = 101"),
        ("copies = 2", "copies = true"),
        ("copies = 2", "copies ="),
    ],
)
def test_a_policy_is_refused_with(old: str, new: str) -> None:
    assert old in POLICY
    with pytest.raises(ConfigurationError):
        decode_archive_policy(POLICY.replace(old, new, 1).encode(), "it")


@pytest.mark.parametrize(
    ("span", "start", "end"),
    [
        (Span(10, "y"), "2026-11-30T12:00:00Z", "2036-11-30T12:00:00Z"),
        (Span(1, "y"), "2028-02-29T12:00:00Z", "2029-03-01T12:00:00Z"),
        (Span(4, "y"), "2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"),
        (Span(180, "d"), "2026-11-30T00:00:00Z", "2027-05-29T00:00:00Z"),
        (Span(1000, "y"), "9500-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_the_end_follows_from_the_calendar(span: Span, start: str, end: str) -> None:
    assert compute_end(span, int(datetime.fromisoformat(start).timestamp())) == end
