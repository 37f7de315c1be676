"""Bundles are kept for years in an archive, under holds, and let go by approvers (format §35)."""

import hashlib
import shutil
from pathlib import Path

import pytest

from airgap.errors import (
    ConfigurationError,
    ConflictError,
    MissingError,
    NotTrustedError,
    PolicyError,
    StorageError,
    UsageError,
)
from airgap.flow.admission import history
from airgap.format.intoto import decode_envelope
from tests.support import stores
from tests.support.archive_site import SAME, ArchiveSite, clock_at, make_archive_site
from tests.support.refusals import expect_refusal
from tests.support.signers import person


@pytest.fixture
def site(tmp_path: Path) -> ArchiveSite:
    return make_archive_site(tmp_path)


def test_what_is_added_is_kept_with_its_evidence_and_every_reader_still_reads_it(
    tmp_path: Path,
) -> None:
    site = make_archive_site(tmp_path, approvers=0)
    depot = site.export("v1")
    bundle = site.add_whole(depot, site.archive)

    shown = site.show(bundle)
    assert (shown["kept"], shown["present"], shown["classes"]) == (True, True, ["high-risk"])
    (record,) = shown["records"]
    assert record["event"] == "archived"
    assert [(one["role"], one["key"]) for one in record["signed_by"]] == [
        ("recorder", person("ray").key.id)
    ]
    names = {file["name"] for file in shown["evidence"]}
    assert {file["verdict"] for file in shown["evidence"]} == {"intact"}
    assert {"manifest.msgpack", f"builder.{person('bob').key.id}.dsse", "root.1.msgpack"} <= names
    assert {"ledger.exporting.2.msgpack", "ledger.exporting.2.tlog-proof"} <= names

    software = {
        path.name.split(".", 1)[1] for path in (site.archive / "archive/software").iterdir()
    }
    assert {"verify.py", "format.md"} <= software
    assert any(name.endswith(".whl") for name in software)
    assert site.side.run("verify", site.archive).code == 0
    assert site.side.run("import", site.archive).code == 0
    with site.side.here():
        last = list(history.read_entries("ward", "exporting"))[-1]
    assert (last.event, last.documents["record"].hex()) == ("archived", record["id"])


def test_files_are_named_by_their_content(site: ArchiveSite) -> None:
    bundle = site.add_whole(site.export("v1"), site.archive)
    (record,) = site.list_records()
    raw = record.read_bytes()
    assert record.name == f"{bundle}.{hashlib.sha256(raw).hexdigest()}.json"
    for path in (site.archive / "archive/evidence" / bundle).iterdir():
        assert path.name.startswith(hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    (policy,) = (site.archive / "archive/policy").iterdir()
    assert policy.name == f"{hashlib.sha256(site.policy.read_bytes()).hexdigest()}.toml"


def test_what_is_added_twice_gets_one_record(site: ArchiveSite) -> None:
    depot = site.export("v1")
    bundle = site.add_whole(depot, site.archive)
    before = stores.snapshot(site.archive)
    again = site.add(depot, site.archive)
    assert (again.code, again.json["bundles"][0]["new"]) == (0, False)
    assert site.add(site.archive).json["bundles"][0]["new"] is False
    assert stores.snapshot(site.archive) == before
    longer = site.add(site.archive, name="logs")
    assert longer.json["bundles"][0]["new"] is True
    shown = site.show(bundle)
    assert shown["classes"] == ["high-risk", "logs"]
    assert shown["keep_until"] == max(record["keep_until"] for record in shown["records"])


def test_a_base_is_added_first_and_kept_as_long_as_what_builds_on_it(site: ArchiveSite) -> None:
    base = site.export("v1")
    changed = site.export("v2", {"same.bin": SAME, "new.bin": b"new"}, "--base", str(base))
    ran = expect_refusal(
        site.side, "archive", "add", changed, site.archive, *_add_options(site), error=MissingError
    )
    assert "builds on others" in ran.json["error"]["message"]
    first = site.add_whole(base, site.archive, name="logs")
    second = site.add_whole(changed, site.archive)
    shown = site.show(first)
    assert shown["needed_by"] == [second]
    assert shown["keep_until"] == site.show(second)["keep_until"]
    assert site.show(second)["bases"] == [first]


def _add_options(site: ArchiveSite, key: str = "ray") -> list[str | Path]:
    return ["--class", "high-risk", "--policy", site.policy, "--key", site.key(key)]


def test_an_attestation_without_its_findings_is_refused(site: ArchiveSite) -> None:
    depot = site.export("v1")
    report = site.top / "review.txt"
    report.write_text("all good")
    ran = site.side.run(
        *("attest", depot, "--role", "approver", "--findings", report),
        *("--key", site.key("dan"), "--bundle", _only(depot)),
    )
    assert ran.code == 0, ran.err
    (attached,) = depot.glob("bundles/*/*.findings")
    kept = attached.read_bytes()
    attached.unlink()
    words = ("archive", "add", depot, site.archive, *_add_options(site))
    assert "findings" in expect_refusal(site.side, *words, error=MissingError).json["error"]["hint"]
    attached.write_bytes(b"something else")
    expect_refusal(site.side, *words, error=MissingError)
    attached.write_bytes(kept)
    assert site.side.run(*words).code == 0


def _only(depot: Path) -> str:
    (folder,) = (depot / "bundles").iterdir()
    return folder.name


def test_damage_strangers_and_other_keys_are_refused(site: ArchiveSite) -> None:
    depot = site.export("v1")
    words = ("archive", "add", depot, site.archive)
    expect_refusal(site.side, *words, *_add_options(site, "mal"), error=ConfigurationError)
    other = [word if word != "high-risk" else "unheard" for word in _add_options(site)]
    expect_refusal(site.side, *words, *other, error=UsageError)
    (envelope,) = depot.glob("bundles/*/builder.*.dsse")
    kept = envelope.read_bytes()
    envelope.unlink()
    expect_refusal(site.side, *words, *_add_options(site), error=NotTrustedError)
    envelope.write_bytes(kept)
    assert site.side.run(*words, *_add_options(site)).code == 0


def test_what_is_kept_is_neither_deleted_nor_replaced(site: ArchiveSite) -> None:
    bundle = site.add_whole(site.export("v1"), site.archive)
    ran = expect_refusal(
        site.side, "delete", f"{site.archive}#{bundle}", "--yes", error=PolicyError
    )
    assert bundle in ran.json["error"]["message"]
    expect_refusal(
        site.side, "delete", "--model", "ranker:v1", site.archive, "--yes", error=PolicyError
    )


def test_a_bundle_is_let_go_by_two_approvers_after_its_end(site: ArchiveSite) -> None:
    bundle = site.add_whole(site.export("v1"), site.archive, name="logs")
    name = f"{site.archive}#{bundle}"
    early = ("archive", "release", name, "--reason", "old", "--key", site.key("dan"))
    assert (
        "retention ends"
        in expect_refusal(site.side, *early, error=PolicyError).json["error"]["message"]
    )
    file = site.top / "let-go.release.json"
    with clock_at("2027-09-01"):
        ran = site.run(*early[1:], "-o", file, "--json")
        assert ran.code == 0, ran.err
        assert (ran.json["needed"], len(ran.json["signed_by"])) == (2, 1)
        expect_refusal(
            site.side, "archive", "release", site.archive, "--from", file, error=NotTrustedError
        )
        digest = ran.json["digest"]
        again = ("archive", "release", file, "--digest", digest, "--key", site.key("dan"))
        expect_refusal(site.side, *again, error=ConflictError)
        signed = site.run("release", file, "--digest", digest, "--key", site.key("eve"), "--json")
        assert (signed.code, len(signed.json["signed_by"])) == (0, 2), signed.err
        expect_refusal(site.side, "delete", name, "--yes", error=PolicyError)
        published = site.run("release", site.archive, "--from", file)
        assert published.code == 0, published.err
        assert site.run("release", site.archive, "--from", file).code == 0
        assert site.show(bundle)["kept"] is False
        assert site.side.run("delete", name, "--yes").code == 0
        gone = site.side.run("gc", site.archive, "--older-than", "0", "--json")
        assert (gone.code, len(gone.json["removed"])) == (0, 1), gone.err
        shown = site.show(bundle)
        assert (shown["present"], shown["kept"], shown["tombstone"]) == (False, False, True)
        listed = site.run("list", site.archive)
        assert "let go and deleted" in listed.out


def test_a_hold_outlasts_the_end_until_it_is_lifted(tmp_path: Path) -> None:
    site = make_archive_site(tmp_path, approvers=1)
    bundle = site.add_whole(site.export("v1"), site.archive, name="logs")
    name = f"{site.archive}#{bundle}"
    held = site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"), "--json")
    assert (held.code, held.json["new"]) == (0, True), held.err
    again = site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"), "--json")
    assert (again.json["new"], again.json["hold"]) == (False, held.json["hold"])
    with clock_at("2027-09-01"):
        let_go = ("archive", "release", name, "--reason", "old", "--key", site.key("dan"))
        ran = expect_refusal(site.side, *let_go, error=PolicyError)
        assert "case 7" in ran.json["error"]["message"]
        lift = ("--hold", held.json["hold"][:8], "--reason", "closed", "--key", site.key("dan"))
        by_ray = (*lift[:-1], site.key("ray"))
        expect_refusal(site.side, "archive", "release", name, *by_ray, error=ConfigurationError)
        assert site.run("release", name, *lift).code == 0
        assert site.show(bundle)["holds"] == []
        expect_refusal(site.side, "archive", "release", name, *lift, error=MissingError)
        assert site.run(*let_go[1:]).code == 0
        assert site.side.run("delete", name, "--yes").code == 0


def test_a_clock_that_is_far_ahead_releases_nothing_without_a_word(tmp_path: Path) -> None:
    site = make_archive_site(tmp_path, approvers=0)
    bundle = site.add_whole(site.export("v1"), site.archive)
    name = f"{site.archive}#{bundle}"
    let_go = ("archive", "release", name, "--reason", "old", "--key", site.key("ray"))
    with clock_at("2040-01-01"):
        ran = expect_refusal(site.side, *let_go, error=PolicyError)
        assert "--today 2040-01-01" in ran.json["error"]["hint"]
        expect_refusal(site.side, *let_go, "--today", "2030-01-01", error=PolicyError)
        assert site.run(*let_go[1:], "--today", "2040-01-01").code == 0


def test_garbage_collection_keeps_what_is_archived_when_its_manifest_is_removed(
    site: ArchiveSite,
) -> None:
    bundle = site.add_whole(site.export("v1"), site.archive)
    shutil.rmtree(site.archive / "bundles" / bundle)
    ran = site.side.run("gc", site.archive, "--older-than", "0", "--json")
    assert (ran.code, ran.json["removed"]) == (0, {}), ran.err
    assert "keeps 1 bundle whose manifest is gone" in ran.err
    listed = site.run("list", site.archive)
    assert listed.code == MissingError.exit_code
    assert "MISSING" in listed.out
    evidence = site.archive / "archive/evidence" / bundle / f"{bundle[:16]}.manifest.msgpack"
    kept = evidence.read_bytes()
    evidence.write_bytes(b"other")
    assert site.side.run("gc", site.archive, "--older-than", "0").code == 10
    evidence.write_bytes(kept)


def test_a_bundle_that_was_only_held_is_free_when_the_hold_is_lifted(tmp_path: Path) -> None:
    site = make_archive_site(tmp_path, approvers=0)
    depot = site.export("v1")
    name = f"{depot}#{_only(depot)}"
    held = site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"), "--json")
    assert held.code == 0, held.err
    assert "kept under a hold" in site.run("list", depot).out
    expect_refusal(site.side, "delete", name, "--yes", error=PolicyError)
    words = ("--reason", "closed", "--key", site.key("ray"))
    assert site.run("release", name, "--hold", held.json["hold"], *words).code == 0
    expect_refusal(site.side, "archive", "release", name, *words, error=PolicyError)
    assert site.side.run("delete", name, "--yes").code == 0


@pytest.mark.parametrize("what", ["a hold", "the bundle"])
def test_a_release_that_was_interrupted_is_in_the_ledger_after_the_next_run(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record was there, and counted, and no ledger said who had let it go."""
    site = make_archive_site(tmp_path, approvers=1)
    bundle = site.add_whole(site.export("v1"), site.archive, name="logs")
    name, key = f"{site.archive}#{bundle}", ("--key", site.key("dan"))
    words: tuple[str | Path, ...] = ("release", name, "--reason", "over", *key)
    if what == "a hold":
        held = site.run("hold", name, "--reason", "case 7", "--key", site.key("ray"), "--json")
        words = (*words, "--hold", held.json["hold"])

    def stop(*_: object) -> None:
        raise StorageError("The disk is full.", "Free some space.")

    with clock_at("2027-09-01"):
        with monkeypatch.context() as patch:
            patch.setattr("airgap.flow.archive.record.record_event", stop)
            assert site.run(*words).code == StorageError.exit_code
        again = site.run(*words)
        assert again.code == 0, again.err
    released = [one for one in site.list_records() if b"released" in payload(one)]
    assert len(released) == 1
    with site.side.here():
        events = [entry.event for entry in history.read_entries("ward", "exporting")]
    assert events.count("released") == 1


def payload(path: Path) -> bytes:
    return decode_envelope(path.read_bytes(), "record", 1 << 21).payload
