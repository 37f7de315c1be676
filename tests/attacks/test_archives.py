"""Attacks on what an archive keeps: by those who can write into its folder (format §35)."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from airgap.errors import CorruptError, PolicyError
from airgap.format.archive import ArchivedTerms, ArchiveRecord, EvidenceFile, decode_record
from airgap.format.intoto import decode_envelope
from airgap.format.shard import find_number
from airgap.times import format_time
from tests.support.archive_site import SAME, ArchiveSite, clock_at, make_archive_site
from tests.support.refusals import expect_refusal
from tests.support.signers import pin

LATER = "2027-09-01"


@pytest.fixture
def site(tmp_path: Path) -> ArchiveSite:
    return make_archive_site(tmp_path, approvers=2)


@pytest.fixture
def bundle(site: ArchiveSite) -> str:
    return site.add_whole(site.export("v1"), site.archive, name="logs")


def _record_ids(site: ArchiveSite) -> tuple[str, ...]:
    return tuple(sorted(record["id"] for record in site.show(_only(site))["records"]))


def _only(site: ArchiveSite) -> str:
    return site.list_records()[0].name.partition(".")[0]


def _forge(archive: ArchiveSite, bundle: str, **changes: object) -> ArchiveRecord:
    """Make the release that would let the bundle go, if those who may had signed it."""
    record = ArchiveRecord(
        "released",
        bundle,
        "ward",
        "2027-09-01T00:00:00Z",
        reason="old",
        previous=_record_ids(archive) if "previous" not in changes else (),
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def _expect_kept(site: ArchiveSite, bundle: str, why: str) -> None:
    with clock_at(LATER):
        ran = expect_refusal(
            site.side, "delete", f"{site.archive}#{bundle}", "--yes", error=PolicyError
        )
        gc = site.side.run("gc", site.archive, "--older-than", "0", "--json")
    assert why in "\n".join((ran.json["error"]["message"], *ran.json["error"].get("details", ())))
    assert gc.code == PolicyError.exit_code or gc.json["removed"] == {}


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("mal", "0 of 2 signatures"),
        ("ray", "0 of 2 signatures"),
        ("bob mal", "0 of 2 signatures"),
        ("dan", "1 of 2 signatures"),
        ("dan mal ray", "1 of 2 signatures"),
    ],
)
def test_a_forged_release_lets_nothing_go(
    site: ArchiveSite, bundle: str, names: str, why: str
) -> None:
    site.plant(_forge(site, bundle), *names.split())
    _expect_kept(site, bundle, why)


def test_a_release_that_enough_have_signed_lets_it_go(site: ArchiveSite, bundle: str) -> None:
    """The forgeries of this file fail for their fault, and not for something else."""
    site.plant(_forge(site, bundle), "dan", "eve")
    with clock_at(LATER):
        assert site.side.run("delete", f"{site.archive}#{bundle}", "--yes").code == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"time": "2027-01-01T00:00:00Z"}, "before the end of the retention"),
        ({"time": "2047-01-01T00:00:00Z"}, "in the future"),
        ({"site": "other"}, "of site other"),
        ({"previous": ()}, "does not follow"),
        ({"previous": ("00" * 32,)}, "missing"),
    ],
)
def test_a_release_with_a_fault_lets_nothing_go_with_all_signatures(
    site: ArchiveSite, bundle: str, changes: dict[str, object], why: str
) -> None:
    site.plant(_forge(site, bundle, **changes), "dan", "eve")
    _expect_kept(site, bundle, why)


def test_an_old_release_does_not_let_go_what_was_archived_again(
    site: ArchiveSite, bundle: str
) -> None:
    site.plant(_forge(site, bundle), "dan", "eve")
    with clock_at(LATER):
        assert site.add(site.archive).json["bundles"][0]["new"] is True
    _expect_kept(site, bundle, "does not follow")


def test_a_hold_that_is_written_beside_a_release_wins(site: ArchiveSite, bundle: str) -> None:
    site.plant(_forge(site, bundle), "dan", "eve")
    held = ArchiveRecord("held", bundle, "ward", "2027-08-31T00:00:00Z", reason="case 7")
    site.plant(held, "mal")  # a stranger: what keeps needs no proof
    _expect_kept(site, bundle, "case 7")


def test_lifting_a_hold_of_another_bundle_lifts_nothing(site: ArchiveSite, bundle: str) -> None:
    name = f"{site.archive}#{bundle}"
    site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"))
    site.plant(_forge(site, bundle, hold="11" * 32), "dan", "eve")
    assert [hold["reason"] for hold in site.show(bundle)["holds"]] == ["case 7"]
    _expect_kept(site, bundle, "of no hold")


def test_a_record_that_was_removed_is_missed_by_the_ledger(site: ArchiveSite, bundle: str) -> None:
    name = f"{site.archive}#{bundle}"
    before = set(site.list_records())
    site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"))
    site.plant(_forge(site, bundle), "dan", "eve")
    (hold,) = (path for path in set(site.list_records()) - before if b"held" in _payload(path))
    hold.unlink()
    _expect_kept(site, bundle, "missing")
    for path in site.list_records():
        path.unlink()
    _expect_kept(site, bundle, "records may have been removed")
    shutil.rmtree(site.archive / "archive/evidence")
    _expect_kept(site, bundle, "ledger says")


def test_a_strangers_record_does_not_stand_in_for_the_sites_own(
    site: ArchiveSite, bundle: str
) -> None:
    """It says what the next `add` would say, but for the end: that was yesterday."""
    (path,) = site.list_records()
    own = decode_record(_payload(path))
    assert own.terms is not None
    path.unlink()
    shutil.rmtree(site.side.state / "ledgers")
    ghost = EvidenceFile("ledger.exporting.9.msgpack", "0" * 64, 1)
    evidence = tuple(sorted((*own.terms.evidence, ghost)))
    terms = replace(own.terms, keep_until="2026-01-01T00:00:00Z", evidence=evidence)
    site.plant(replace(own, terms=terms), "mal")

    ran = site.add(site.archive, name="logs")

    assert ran.code == 0, ran.err
    assert ran.json["bundles"][0]["new"] is True
    assert ran.json["bundles"][0]["keep_until"] >= own.terms.keep_until
    shown = site.show(bundle)
    assert sorted(len(record["signed_by"]) for record in shown["records"]) == [0, 1]
    new = max(map(site.read_record, site.list_records()), key=lambda record: record["keepUntil"])
    assert ghost.name not in {file["name"] for file in new["evidence"]}


@pytest.mark.parametrize("known", ["the ledger", "a record"])
def test_a_clock_that_was_set_back_gives_no_early_end(site: ArchiveSite, known: str) -> None:
    first, second = site.export("v1"), site.export("v2")
    with clock_at(LATER):
        assert site.add(first, site.archive).code == 0
    if known == "a record":
        shutil.rmtree(site.side.state / "ledgers")
    words = ("--class", "logs", "--policy", site.policy, "--key", site.key("ray"))
    ran = expect_refusal(
        site.side, "archive", "add", second, site.archive, *words, error=PolicyError
    )
    assert "let go too early" in ran.json["error"]["message"]
    for path in site.list_records():  # what a stranger dates says nothing
        path.unlink()
    held = ArchiveRecord("held", "ab" * 32, "ward", "2039-12-31T00:00:00Z", reason="x")
    site.plant(held, "mal")
    shutil.rmtree(site.side.state / "ledgers", ignore_errors=True)
    assert site.add(second, site.archive).code == 0


def _add_difference(site: ArchiveSite) -> tuple[str, str]:
    """Add a bundle and one that builds on it; return their ids."""
    base = site.add_whole(site.export("v1"), site.archive, name="logs")
    first = site.top / "depot-v1"
    changed = {"same.bin": SAME, "own.bin": b"new"}
    return base, site.add_whole(site.export("v2", changed, "--base", first), site.archive)


def _forget(site: ArchiveSite, bundle: str) -> None:
    """Remove what an archive has of a bundle: its records and its evidence."""
    for path in site.list_records():
        if path.name.startswith(bundle):
            path.unlink()
    shutil.rmtree(site.archive / "archive/evidence" / bundle)
    shutil.rmtree(site.side.state / "ledgers")  # another machine than the one that archived it


def test_a_base_whose_records_were_removed_is_kept_by_what_builds_on_it(site: ArchiveSite) -> None:
    base, difference = _add_difference(site)
    _forget(site, base)
    pin(site.side, site.root)
    _expect_kept(site, base, f"bundle {difference} builds on it")
    assert site.show(base)["kept"] is True
    doctor = site.run("doctor", site.archive, "--json")
    findings = [one["message"] for one in doctor.json["findings"]]
    assert any("has no record: they may have been removed" in one for one in findings)


def test_a_shard_misses_the_manifest_of_a_base_that_only_another_shard_keeps(
    site: ArchiveSite,
) -> None:
    base, difference = _add_difference(site)
    previous = tuple(one["id"] for one in site.show(base)["records"])
    site.plant(_forge(site, base, previous=previous), "dan", "eve")
    shutil.rmtree(site.archive / "bundles" / base)
    ids = bytes.fromhex(base), bytes.fromhex(difference)
    count = next(n for n in range(2, 100) if find_number(ids[0], n) != find_number(ids[1], n))
    shard = f"{find_number(ids[0], count)}/{count}"
    with clock_at(LATER):
        ran = site.run("check", site.archive, "--shard", shard, "--json")
    (problem,) = (one for one in ran.json["problems"] if one["test"] == "records")
    assert problem["name"] == f"bundles/{base}/manifest.msgpack"


def test_nothing_is_collected_while_a_base_is_gone_without_a_trace(site: ArchiveSite) -> None:
    base, _ = _add_difference(site)
    _forget(site, base)
    pin(site.side, site.root)
    shutil.rmtree(site.archive / "bundles" / base)
    ran = expect_refusal(site.side, "gc", site.archive, "--older-than", "0", error=CorruptError)
    assert base in ran.json["error"]["message"]


def test_evidence_without_records_keeps_the_packs_of_a_bundle(
    site: ArchiveSite, bundle: str
) -> None:
    """Who removes the manifest and the records leaves the evidence, or gc is not even needed."""
    packs = set((site.archive / "packs").rglob("*.pack"))
    for path in site.list_records():
        path.unlink()
    shutil.rmtree(site.archive / "bundles" / bundle)
    shutil.rmtree(site.side.state / "ledgers")  # another machine than the one that archived it
    assert site.side.run("gc", site.archive, "--older-than", "0", "--json").json["removed"] == {}
    assert set((site.archive / "packs").rglob("*.pack")) == packs


def test_a_reset_does_not_forget_what_was_kept(site: ArchiveSite, bundle: str) -> None:
    before = set(site.list_records())
    name = f"{site.archive}#{bundle}"
    site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"))
    (hold,) = set(site.list_records()) - before
    head = site.side.run("log", "--exports", "--json").json["head"]
    words = ("--exports", "ward", "--yes", head, "--reason", "tidy")
    assert site.side.run("trust", "reset-state", *words).code == 0
    hold.unlink()
    site.plant(_forge(site, bundle), "dan", "eve")
    _expect_kept(site, bundle, "ledger says")


def test_an_archive_without_its_folder_is_no_ordinary_depot(site: ArchiveSite, bundle: str) -> None:
    """Nothing in the depot says any more that it was one: the ledger does (format §35.6)."""
    shutil.rmtree(site.archive / "archive")
    link = site.top / "link"
    link.symlink_to(site.archive)
    for name in (site.archive, link, f"file://{site.archive}"):
        words = ("delete", f"{name}#{bundle}", "--yes")
        ran = expect_refusal(site.side, *words, error=PolicyError)
        assert "1 record was put into" in ran.json["error"]["message"]
    shutil.rmtree(site.archive / "bundles" / bundle)
    ran = expect_refusal(site.side, "gc", site.archive, "--older-than", "0", error=PolicyError)
    assert bundle in "".join(ran.json["error"]["details"])
    assert any((site.archive / "packs").rglob("*.pack"))
    doctor = site.run("doctor", site.archive, "--json").json
    first = doctor["findings"][0]
    assert not doctor["healthy"]
    assert "1 record of 1 bundle was put here" in first["message"]


def test_a_new_id_does_not_make_another_archive_of_it(site: ArchiveSite, bundle: str) -> None:
    """The records of before are missed, though the next `add` begins an archive anew."""
    shutil.rmtree(site.archive / "archive")
    second = site.add_whole(site.export("v2"), site.archive)
    for one in (bundle, second):
        words = ("delete", f"{site.archive}#{one}", "--yes")
        expect_refusal(site.side, *words, error=PolicyError)
    expect_refusal(site.side, "gc", site.archive, "--older-than", "0", error=PolicyError)


def test_an_archive_that_lies_elsewhere_now_is_known_by_its_id(
    site: ArchiveSite, bundle: str
) -> None:
    """Its records, its evidence and its manifest are removed; the id is left."""
    moved = site.archive.rename(site.top / "moved")
    shutil.rmtree(moved / "archive/records")
    shutil.rmtree(moved / "archive/evidence")
    shutil.rmtree(moved / "bundles" / bundle)
    ran = expect_refusal(site.side, "gc", moved, "--older-than", "0", error=PolicyError)
    assert bundle in "".join(ran.json["error"]["details"])


def test_a_depot_that_never_was_an_archive_is_cleaned_as_always(
    site: ArchiveSite, bundle: str
) -> None:
    """The courier's depot has the same bundle, and the ledger says nothing of it."""
    courier = site.top / "depot-v1"
    assert site.side.run("delete", f"{courier}#{bundle}", "--yes").code == 0
    assert site.side.run("gc", courier, "--older-than", "0", "--json").json["removed"]
    assert site.side.run("delete", f"{site.archive}#{bundle}", "--yes").code != 0


def _payload(path: Path) -> bytes:
    return decode_envelope(path.read_bytes(), "record", 1 << 21).payload


def test_a_damaged_record_keeps_everything(site: ArchiveSite, bundle: str) -> None:
    (record,) = site.list_records()
    raw = bytearray(record.read_bytes())
    raw[50] ^= 1
    record.write_bytes(raw)
    words = ("delete", f"{site.archive}#{bundle}", "--yes")
    expect_refusal(site.side, *words, error=CorruptError)
    assert site.run("list", site.archive).code == CorruptError.exit_code


def test_a_record_of_another_bundle_says_nothing_of_this_one(
    site: ArchiveSite, bundle: str
) -> None:
    other = site.add_whole(site.export("v2"), site.archive)
    (theirs,) = (path for path in site.list_records() if path.name.startswith(other))
    moved = theirs.with_name(theirs.name.replace(other, bundle))
    shutil.copyfile(theirs, moved)
    words = ("delete", f"{site.archive}#{bundle}", "--yes")
    ran = expect_refusal(site.side, *words, error=CorruptError)
    assert f"record of bundle {other}" in ran.json["error"]["message"]


def test_a_bundle_that_was_never_there_has_no_tombstone(site: ArchiveSite, bundle: str) -> None:
    ghost = "ab" * 32
    site.plant(replace(_forge(site, bundle), bundle=ghost, previous=()), "dan", "eve")
    with clock_at(LATER):
        shown = site.show(ghost)
    assert (shown["tombstone"], shown["kept"]) == (False, False)  # there is nothing to keep
    assert shown["records"][0]["does_not_count"] == "the bundle was never archived"
    terms = ArchivedTerms("logs", "2027-01-01T00:00:00Z", "cd" * 32)
    site.plant(ArchiveRecord("archived", ghost, "ward", "2026-01-01T00:00:00Z", terms=terms), "mal")
    assert site.show(ghost)["tombstone"] is False  # there is no manifest with that id


def test_a_clock_set_forward_is_not_believed_because_of_a_planted_record(
    tmp_path: Path,
) -> None:
    site = make_archive_site(tmp_path, approvers=0)
    bundle = site.add_whole(site.export("v1"), site.archive)
    held = ArchiveRecord("held", bundle, "ward", "2039-12-31T00:00:00Z", reason="x")
    site.plant(held, "mal")
    words = ("release", f"{site.archive}#{bundle}", "--reason", "old", "--key", site.key("ray"))
    with clock_at("2040-01-01"):
        ran = expect_refusal(site.side, "archive", *words, error=PolicyError)
    assert "set forward" in ran.json["error"]["message"]


def test_a_record_is_read_back_as_it_was_signed(site: ArchiveSite, bundle: str) -> None:
    (record,) = site.list_records()
    decoded = decode_record(_payload(record))
    assert decoded.bundle == bundle
    assert decoded.time <= format_time(2_000_000_000)
