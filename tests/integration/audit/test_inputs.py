"""What is given to ``airgap audit`` may be wrong: some of it is refused, the rest is reported."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from airgap.errors import ConfigurationError, CorruptError, MissingError, UsageError
from airgap.format import envelope as dsse
from airgap.format import layout, limits
from airgap.format.receipt import encode_receipt
from tests.integration.audit.conftest import Audited
from tests.integration.audit.test_report import PageReader, run_command
from tests.support import receipts
from tests.support.audited_site import AuditedSite, make_audited_site
from tests.support.refusals import expect_refusal
from tests.support.sides import REPOSITORY, Side
from tests.support.signers import person, private_key


@pytest.fixture
def site(tmp_path: Path) -> AuditedSite:
    """A site that a test may change."""
    return make_audited_site(tmp_path / "site")


@pytest.fixture
def laptop(tmp_path: Path) -> Side:
    side = Side(tmp_path / "laptop")
    side.top.mkdir()
    return side


def audit(site: AuditedSite, laptop: Side, *words: str | Path) -> dict[str, Any]:
    """Make a report with evidence, and check the evidence and every link of the page."""
    evidence = site.top / "evidence"
    ran = laptop.run(*site.words("--evidence", evidence, "--json", *words))
    assert ran.code == 0, ran.err
    done = run_command("sh check.sh", evidence)
    assert done.returncode == 0, done.stdout + done.stderr
    page = PageReader((evidence / "report.html").read_text())
    assert {link[1:] for link in page.find("href")} <= {*page.find("id")}
    return ran.json


def folder_of(site: AuditedSite, version: str) -> Path:
    return site.depot / "bundles" / site.bundles[version]


def test_signatures_that_do_not_count_say_why_and_have_no_command(
    site: AuditedSite, laptop: Side
) -> None:
    folder = folder_of(site, "v1")
    raw = (folder / "manifest.msgpack").read_bytes()
    stranger = dsse.encode(person("mallory").sign("builder", raw))
    (folder / layout.envelope_file("builder", person("mallory").key.id)).write_bytes(stranger)
    wrong = dsse.encode(person("bob").sign("builder", b"another manifest"))
    (folder / layout.envelope_file("builder", person("bob").key.id)).write_bytes(wrong)
    sam = layout.attestation_file("scanner", person("sam").key.id)
    dan = layout.attestation_file("approver", person("dan").key.id)
    other = folder_of(site, "v7")
    for name in (dan, layout.envelope_file("approver", person("dan").key.id)):
        (folder / name).write_bytes((other / name).read_bytes())

    report = audit(site, laptop)

    (row,) = (one for one in report["rules"]["bundles"] if one["bundle"] == site.bundles["v1"])
    problems = {one["key"]: one["problem"] for one in row["signatures"]}
    assert problems[person("mallory").key.id] == "its key is not a builder of the root"
    assert "does not match the document" in problems[person("bob").key.id]
    assert problems[person("dan").key.id] == "it is for another bundle"
    assert problems[person("sam").key.id] is None
    assert row["results"]["2"]["result"] == "no"
    assert row["results"]["9"]["result"] == "no"
    assert (folder / sam).exists()


def test_a_bundle_that_cannot_be_read_is_an_exception_and_the_others_are_read(
    site: AuditedSite, laptop: Side
) -> None:
    (folder_of(site, "v2") / "manifest.msgpack").write_bytes(b"damaged")

    report = audit(site, laptop)

    assert report["verdict"]["kinds"]["unreadable"] == 1
    assert len(report["rules"]["bundles"]) == 4


def test_a_receipt_that_nobody_of_the_site_signed_is_an_exception(
    site: AuditedSite, laptop: Side
) -> None:
    folder = site.top / "receipts"
    raw = json.loads((folder / "v5.receipt.json").read_bytes())
    forged = receipts.sign_receipt(encode_receipt(receipts.make_receipt()), private_key("mallory"))
    (folder / "forged.receipt.json").write_bytes(forged)
    (folder / "torn.receipt.json").write_bytes(b"{")
    assert raw["signatures"]

    report = audit(site, laptop)

    assert report["verdict"]["kinds"]["receipt-not-verified"] == 2
    assert report["verdict"]["receipts"] == 6


def test_one_receipt_can_be_named_by_its_file(site: AuditedSite, laptop: Side) -> None:
    words = [word for word in site.words("--json") if word != "--receipts"]
    words[words.index(site.top / "receipts")] = "--receipts"
    words.insert(words.index("--receipts") + 1, site.top / "receipts/v1.receipt.json")
    ran = laptop.run(*words)
    assert ran.code == 0, ran.err
    assert ran.json["verdict"]["receipts"] == 1


def test_a_root_that_nothing_leads_to_is_an_exception(site: AuditedSite, laptop: Side) -> None:
    """It was made by keys of another site with the same name."""
    for name in ("root-1.msgpack",):
        path = site.top / "roots" / name
        for envelope in path.parent.glob("root-1.*.dsse"):
            envelope.unlink()
    report = audit(site, laptop)
    assert report["verdict"]["kinds"]["root-refused"] == 1
    assert [one["version"] for one in report["roots"]] == [2]


def test_limits_and_inputs_that_cannot_be_are_refused(
    site: AuditedSite, laptop: Side, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = [word for _ in range(17) for word in ("--ledger", site.top / "imports")]
    expect_refusal(laptop, *site.words(*many), error=UsageError)
    expect_refusal(laptop, *site.words("-"), error=UsageError)
    expect_refusal(laptop, *site.words("--receipts", tmp_path), error=MissingError)
    expect_refusal(laptop, *site.words("--receipts", tmp_path / "no"), error=ConfigurationError)
    expect_refusal(laptop, *site.words("--now", "2999-01-01"), error=UsageError)
    monkeypatch.setattr(limits, "AUDIT_ENTRIES", 24)
    refused = expect_refusal(laptop, *site.words(), error=UsageError)
    assert "25 entries" in refused.json["error"]["message"]
    monkeypatch.setattr(limits, "AUDIT_ENTRIES", 25)
    monkeypatch.setattr(limits, "AUDIT_RECEIPTS", 3)
    expect_refusal(laptop, *site.words(), error=UsageError)


def test_a_ledger_that_is_cut_off_is_refused(site: AuditedSite, laptop: Side) -> None:
    path = site.top / "imports/entries"
    path.write_bytes(path.read_bytes()[:-5])
    expect_refusal(laptop, *site.words(), error=CorruptError)


def test_entries_beyond_the_most_that_have_proofs_are_proven_by_their_ledger(
    site: AuditedSite, laptop: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUDIT_PROOFS", 3)
    report = audit(site, laptop)
    entries = [one for one in report["evidence"] if one["command"].startswith("sh check-entry")]
    assert len(entries) == 3
    ledgers = {one["number"] for one in report["evidence"] if "verify-ledger" in one["command"]}
    cited = {
        number for row in report["moved"] for one in row["entries"] for number in one["evidence"]
    }
    assert ledgers <= cited
    assert report["exceptions"][2]["evidence"] == [entries[0]["number"]]  # exceptions come first


def test_the_same_bundle_in_two_locations_counts_once(site: AuditedSite, laptop: Side) -> None:
    shutil.copytree(site.depot, site.top / "copy")
    report = audit(site, laptop, site.top / "copy")
    assert report["verdict"]["bundles"] == 5


def test_without_ledgers_a_report_says_so(site: AuditedSite, laptop: Side) -> None:
    words: list[str | Path] = ["audit", site.depot, "-o", site.top / "r.html", "--json"]
    for path in site.root_files:
        words += ["--root", path]
    ran = laptop.run(*words, "--fingerprint", site.fingerprint)
    assert ran.code == 0, ran.err
    assert ran.json["ledgers"] == []
    assert {one["outcome"] for one in ran.json["moved"]} == {"seen"}
    assert "What the isolated side did: no ledger of imports was read." in ran.json["not_shown"]


def test_the_specification_names_every_member_of_a_report(audited: Audited) -> None:
    text = (
        (REPOSITORY / "docs/format.md")
        .read_text()
        .partition("### 38.3")[2]
        .partition("### 38.4")[0]
    )
    documented = set(re.findall(r"`([a-z0-9_]+)`", text))

    def find_names(value: object, *, is_map: bool = False) -> set[str]:
        if isinstance(value, list):
            return {name for part in value for name in find_names(part)}
        if not isinstance(value, dict):
            return set()
        names = set() if is_map else {*value}
        for name, part in value.items():
            inner = name in MAPS or (is_map and name not in value)
            names |= find_names(part, is_map=inner)
        return names

    names = find_names(audited.report)
    assert names - documented == set()
    assert {*audited.report} <= documented


MAPS = frozenset(
    {"kinds", "outcomes", "labels", "signed_by", "counted", "events", "roles", "results", "rules"}
)
"""Members whose keys are data."""
