"""What an archive keeps follows from its records alone (format §35.2)."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest

from airgap.flow.retention.records import ArchiveRecords, StoredRecord
from airgap.flow.retention.standing import BundleStanding, find_pack_ends, find_standings
from airgap.format.archive import ArchivedTerms, ArchiveRecord, encode_record, record_id
from airgap.format.root import Root
from airgap.signing.records import add_record_signature, sign_record
from tests.support.signers import make_root, person, team

BASE, DIFFERENCE, THIRD = "aa" * 32, "bb" * 32, "cc" * 32
EARLY, LATE = "2030-01-01T00:00:00Z", "2040-01-01T00:00:00Z"
LATEST = "2050-01-01T00:00:00Z"
COST = 0.5
"""In seconds of processor time; what is meant needs a tenth of it."""


def _root(approvers: int = 1) -> Root:
    root = make_root(recorder=team("ray"), approver=team("dan eve", max(approvers, 1)))
    role = replace(root.roles["approver"], threshold=approvers)
    return replace(root, roles={**root.roles, "approver": role})


def _store(record: ArchiveRecord, *names: str) -> StoredRecord:
    envelope = sign_record(record, person(names[0]))
    for name in names[1:]:
        envelope = add_record_signature(envelope, person(name))
    return StoredRecord(record_id(encode_record(record)), record, (envelope,))


def _archive(bundle: str, end: str, *bases: str) -> StoredRecord:
    terms = ArchivedTerms("logs", end, "cd" * 32, bases)
    return _store(
        ArchiveRecord("archived", bundle, "ward", "2026-01-01T00:00:00Z", terms=terms), "ray"
    )


def _release(after: StoredRecord, time: str, *names: str) -> StoredRecord:
    record = ArchiveRecord(
        "released", after.record.bundle, "ward", time, reason="old", previous=(after.id,)
    )
    return _store(record, *(names or ("dan",)))


def _find(
    *records: StoredRecord, root: Root | None = None, damaged: bool = False
) -> dict[str, BundleStanding]:
    bundles: dict[str, tuple[StoredRecord, ...]] = {}
    for stored in records:
        bundle = stored.record.bundle
        bundles[bundle] = (*bundles.get(bundle, ()), stored)
    files = {"file": "why"} if damaged else {}
    return find_standings(ArchiveRecords(bundles, files), root or _root(), LATEST)


def test_a_base_is_kept_until_what_builds_on_it_is_let_go() -> None:
    base, difference = _archive(BASE, EARLY), _archive(DIFFERENCE, LATE, BASE)
    third = _archive(THIRD, EARLY, DIFFERENCE)
    released = [_release(one, LATE) for one in (base, third)]
    standings = _find(base, difference, third, *released)
    assert [standings[bundle].is_kept for bundle in (BASE, DIFFERENCE, THIRD)] == [
        True,
        True,
        False,
    ]
    assert standings[BASE].dependents == (DIFFERENCE,)
    assert (standings[BASE].own_end, standings[BASE].end) == (EARLY, LATE)
    everything = _find(base, difference, third, *released, _release(difference, LATE))
    assert not any(standing.is_kept for standing in everything.values())


def test_bundles_that_claim_to_build_on_each_other_are_kept() -> None:
    first, second = _archive(BASE, EARLY, DIFFERENCE), _archive(DIFFERENCE, LATE, BASE)
    standings = _find(first, second)
    assert {standing.end for standing in standings.values()} == {LATE}
    both = _find(first, second, _release(first, LATE), _release(second, LATE))
    assert not any(standing.is_kept for standing in both.values())


def test_the_end_of_a_pack_is_the_highest_of_the_bundles_that_name_it() -> None:
    released = _archive(THIRD, "2020-01-01T00:00:00Z")
    standings = _find(
        _archive(BASE, EARLY), _archive(DIFFERENCE, LATE), released, _release(released, LATE)
    )
    packs = [(BASE, [b"1", b"2"]), (DIFFERENCE, [b"2"]), (THIRD, [b"3"]), ("dd" * 32, [b"4"])]
    assert find_pack_ends(standings, packs) == {b"1": EARLY, b"2": LATE}


@pytest.mark.parametrize(
    ("approvers", "names", "kept"),
    [
        (0, ("ray",), []),
        (0, ("dan",), [BASE]),
        (1, ("dan",), []),
        (1, ("ray",), [BASE]),
        (2, ("dan",), [BASE]),
        (2, ("dan", "eve"), []),
        (2, ("dan", "ray"), [BASE]),
    ],
)
def test_a_release_needs_the_approvers_or_a_recorder(
    approvers: int, names: tuple[str, ...], kept: list[str]
) -> None:
    archived = _archive(BASE, EARLY)
    standings = _find(archived, _release(archived, LATE, *names), root=_root(approvers))
    assert [bundle for bundle, standing in standings.items() if standing.is_kept] == kept


def test_signatures_in_two_files_count_together() -> None:
    archived = _archive(BASE, EARLY)
    first, second = _release(archived, LATE, "dan"), _release(archived, LATE, "eve")
    assert first.id == second.id
    both = replace(first, envelopes=(*first.envelopes, *second.envelopes))
    assert not _find(archived, both, root=_root(2))[BASE].is_kept
    twice = replace(first, envelopes=first.envelopes * 2)
    assert _find(archived, twice, root=_root(2))[BASE].is_kept


def test_nothing_is_let_go_without_a_root_or_with_a_damaged_record() -> None:
    archived = _archive(BASE, EARLY)
    released = _release(archived, LATE)
    records = ArchiveRecords({BASE: (archived, released)})
    standing = find_standings(records, None, LATEST)[BASE]
    assert (standing.is_kept, standing.uncounted[0][1]) == (
        True,
        "this machine has not pinned the site's root",
    )
    assert _find(archived, released, damaged=True)[BASE].is_kept
    assert not _find(archived, released)[BASE].is_kept


def test_a_revoked_approver_lets_nothing_go() -> None:
    archived = _archive(BASE, EARLY)
    revoked = make_root(recorder=team("ray"), approver=team("dan eve"), revoked="dan")
    assert _find(archived, _release(archived, LATE), root=revoked)[BASE].is_kept


def test_a_signature_that_is_not_that_of_its_key_does_not_spoil_the_others() -> None:
    archived = _archive(BASE, EARLY)
    released = _release(archived, LATE)
    (envelope,) = released.envelopes
    forged = replace(envelope.signatures[0], key_id=person("eve").key.id)
    spoiled = replace(envelope, signatures=(*envelope.signatures, forged))
    assert not _find(archived, replace(released, envelopes=(spoiled,)))[BASE].is_kept
    assert _find(archived, replace(released, envelopes=(spoiled,)), root=_root(2))[BASE].is_kept


def test_a_long_history_is_followed_without_recursion() -> None:
    stored = _archive(BASE, EARLY)
    records = [stored]
    for number in range(400):
        time = f"2026-01-02T{number // 60:02}:{number % 60:02}:00Z"
        held = ArchiveRecord("held", BASE, "ward", time, reason="x", previous=(records[-1].id,))
        records.append(_store(held, "ray"))
    standing = _find(*records)[BASE]
    assert len(standing.holds) == 400
    assert standing.missing == ()


def test_a_base_is_kept_by_what_builds_on_it_though_its_own_records_are_gone() -> None:
    difference = _archive(DIFFERENCE, LATE, BASE)
    base = _find(difference)[BASE]
    assert (base.is_kept, base.end, base.dependents) == (True, LATE, (DIFFERENCE,))
    assert BASE not in _find(difference, _release(difference, LATE))


def test_a_bundle_with_many_ways_through_its_records_is_read_in_a_moment() -> None:
    """Each record names all before it: the ways from the last to the first double with each."""
    archived = _archive(BASE, EARLY)
    records = [archived]
    for number in range(300):
        seen = tuple(sorted(one.id for one in records))
        held = ArchiveRecord(
            "held", BASE, "ward", "2026-01-01T00:00:00Z", reason=f"case {number}", previous=seen
        )
        records.append(_store(held, "ray"))
    begun = time.process_time()
    standing = _find(*reversed(records), _release(records[-1], LATE))[BASE]
    assert time.process_time() - begun < COST
    assert len(standing.holds) == 300
    assert "is in force" in standing.uncounted[0][1]


def test_a_long_row_of_differences_is_read_in_a_moment() -> None:
    """Each builds on the one before it, and the last is kept for longest."""
    ids = [f"{number:064x}" for number in range(3_000)]
    row = [_archive(ids[0], EARLY)]
    terms = row[0].record.terms
    assert terms is not None
    for base, bundle in pairwise(ids):
        built = replace(row[0].record, bundle=bundle, terms=replace(terms, bases=(base,)))
        row.append(StoredRecord(f"{bundle[:-1]}f", built, ()))
    last = replace(row[-1].record, terms=replace(terms, bases=(ids[-2],), keep_until=LATE))
    row[-1] = replace(row[-1], record=last)
    begun = time.process_time()
    assert {standing.end for standing in _find(*row).values()} == {LATE}
    assert time.process_time() - begun < COST
