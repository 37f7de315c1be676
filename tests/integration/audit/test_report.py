"""``airgap audit``: page, data and evidence say the same, and commands prove it (format §38)."""

import html
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

import airgap
from airgap.errors import ConfigurationError, ConflictError, MissingError, NotTrustedError
from airgap.flow.audit.controls import CONTROLS
from airgap.flow.audit.exceptions import KINDS
from airgap.flow.audit.page import render_page
from airgap.format import intoto
from tests.integration.audit.conftest import Audited
from tests.support.audited_site import HOSTILE, NOW, make_audited_site
from tests.support.refusals import expect_refusal
from tests.support.sides import REPOSITORY
from tests.support.signers import person
from tests.support.typed_dicts import find_problems

GOLDEN: Final = REPOSITORY / "tests/integration/audit/report.html"
COMMAND: Final = re.compile(r'<code class="command">(.*?)</code>', re.DOTALL)


def find_commands(page: str) -> list[str]:
    """Return the commands that a person reads in the page."""
    return [html.unescape(text) for text in COMMAND.findall(page)]


def run_command(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command as an auditor does, in a shell without anything of airgap."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class PageReader(HTMLParser):
    """Reads a page: its elements, its links, its anchors, and the text that people see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def find(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


def test_every_command_that_is_printed_succeeds_on_the_evidence(audited: Audited) -> None:
    commands = find_commands(audited.page)
    assert len(commands) == len(audited.report["evidence"]) > 40
    for command in commands:
        ran = run_command(command, audited.evidence)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"


def test_the_script_runs_exactly_the_commands_of_the_page(audited: Audited) -> None:
    script = (audited.evidence / "check.sh").read_text()
    blocks = re.findall(r"^check \d+ <<'END'\n(.*?)\nEND$", script, re.DOTALL | re.MULTILINE)
    assert blocks == find_commands(audited.page)
    assert blocks == [item["command"] for item in audited.report["evidence"]]

    ran = run_command(f"sh {audited.evidence}/check.sh", audited.evidence.parent)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(blocks)} commands and SHA256SUMS were checked; 0 failed" in ran.stdout


CHANGED: Final = ("keys", "bundles", "receipts", "root", "signed", "ledgers/1", "ledgers/2/proofs")


@pytest.mark.parametrize("folder", CHANGED)
def test_a_changed_file_makes_a_command_fail(folder: str, audited: Audited, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(audited.evidence, tmp_path / "evidence"))
    cited = sorted(
        item["file"] for item in audited.report["evidence"] if item["file"].startswith(folder)
    )
    if folder == "signed":
        cited = ["signed/1.sig"]
    path = copy / cited[0]
    data = bytearray(path.read_bytes())
    data[-20] ^= 1  # of an envelope, within the signature
    path.write_bytes(data)

    failed = [
        command
        for command in find_commands(audited.page)
        if cited[0] in command or cited[0].rpartition("/")[0] in command
        if run_command(command, copy).returncode != 0
    ]

    assert failed


def test_the_evidence_has_the_digests_that_the_report_names(audited: Audited) -> None:
    sums = (audited.evidence / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in sums)}
    for item in audited.report["evidence"]:
        assert listed[item["file"]] == item["sha256"]
    files = {
        str(path.relative_to(audited.evidence))
        for path in audited.evidence.rglob("*")
        if path.is_file()
    }
    assert files == listed.keys() | {"SHA256SUMS"}


def test_the_page_is_the_golden_one(audited: Audited) -> None:
    """To make it again after a change: AIRGAP_WRITE_GOLDEN=1 pytest tests/integration/audit."""
    page = re.sub(r"airgap \d+\.\d+\.\d+[\w.]*", "airgap VERSION", audited.page)
    if os.environ.get("AIRGAP_WRITE_GOLDEN"):
        GOLDEN.write_text(page)
    assert page == GOLDEN.read_text()


def test_the_same_inputs_and_time_give_the_same_bytes(audited: Audited, tmp_path: Path) -> None:
    site = make_audited_site(tmp_path / "again")
    ran = audited.side.run(*site.words("--evidence", tmp_path / "evidence"))
    assert ran.code == 0, ran.err
    assert (site.top / "report.html").read_text() == audited.page
    names = ("report.json", "SHA256SUMS", "report.html")
    for name in names:
        assert (tmp_path / "evidence" / name).read_bytes() == (audited.evidence / name).read_bytes()


def test_the_data_are_what_the_page_shows(audited: Audited) -> None:
    report, words = audited.report, " ".join(PageReader(audited.page).words)
    assert intoto.encode_json(report) + b"\n" == (audited.evidence / "report.json").read_bytes()
    assert render_page(report) == audited.page
    printed = audited.side.run(*audited.site.words("--json")).json
    assert printed == report
    for exception in report["exceptions"]:
        assert exception["statement"] in words
    for movement in report["moved"]:
        assert movement["bundle"] in words
    for sentence in report["not_shown"]:
        assert sentence in words
    assert f"{report['verdict']['exceptions']} exceptions" in words


def test_the_data_have_the_types_that_python_knows(audited: Audited) -> None:
    assert list(find_problems(audited.report, airgap.results.AuditDict)) == []


def test_python_makes_the_same_report(audited: Audited, tmp_path: Path) -> None:
    site = audited.site
    events: list[airgap.ProgressEvent] = []
    with audited.side.here():
        report = airgap.audit(
            tmp_path / "report.html",
            [site.depot],
            evidence=tmp_path / "evidence",
            ledgers=[site.top / "exports", site.top / "imports"],
            receipts=[site.top / "receipts"],
            roots=site.root_files,
            fingerprints=[site.fingerprint],
            now=datetime.fromtimestamp(NOW, UTC),
            progress=events.append,
        )
    assert report == audited.report
    assert (tmp_path / "report.html").read_text() == audited.page


def test_each_kind_of_exception_of_the_site_is_in_the_report(audited: Audited) -> None:
    kinds = audited.report["verdict"]["kinds"]
    bundles = audited.site.bundles
    assert kinds == {
        "not-admitted": 2,
        "key-revoked": 1,
        "unsigned": 1,
        "waived": 1,
        "waiver-written": 1,
        "refused": 1,
        "rejected": 1,
        "gap": 2,
        "unmatched": 1,
        "missing-receipt": 2,
        "unscanned": 3,
    }
    about = {
        kind: {one["bundle"] for one in audited.report["exceptions"] if one["kind"] == kind}
        for kind in kinds
    }
    assert about["key-revoked"] == {bundles["v2"]}
    assert about["unmatched"] == about["rejected"] == {bundles["v7"]}
    assert about["missing-receipt"] == {bundles["v2"], bundles["v7"]}
    assert about["waived"] == about["refused"] == {bundles["v3"]}
    found = list(dict.fromkeys(one["kind"] for one in audited.report["exceptions"]))
    assert found == [kind for kind in KINDS if kind in kinds]


def test_two_ledgers_are_joined_by_receipts(audited: Audited) -> None:
    rows = {one["bundle"]: one for one in audited.report["moved"]}
    partners = {name: rows[bundle]["partner"] for name, bundle in audited.site.bundles.items()}
    assert partners == {
        "v1": "joined",
        "v2": "no receipt",
        "v3": "joined",
        "v5": "joined",
        "v7": "not imported",
    }
    outcomes = [rows[bundle]["outcome"] for bundle in audited.site.bundles.values()]
    assert outcomes == ["imported", "imported", "waived", "imported", "exported"]
    assert [ledger["side"] for ledger in audited.report["ledgers"]] == ["exports", "imports"]


def test_a_row_without_a_partner_is_marked_without_colour(audited: Audited) -> None:
    words = " ".join(PageReader(audited.page).words)
    assert "▲ not in a ledger of imports" in words
    assert "▲ no receipt joins the two sides" in words


def test_the_three_kinds_of_time_are_three_columns(audited: Audited) -> None:
    row = audited.report["times"][0]
    assert row.keys() == {"bundle", "claimed", "stamped", "index", "evidence"}
    labels = PageReader(audited.page).find("data-label")
    assert {"Claimed time", "Stamped time", "Ledger index"} <= {*labels}


def test_each_claim_has_a_number(audited: Audited) -> None:
    report = audited.report
    rows = [report["root"], *report["exceptions"], *report["moved"], *report["times"]]
    rows += [*report["media"], *report["rules"]["bundles"], *report["ledgers"], *report["roots"]]
    rows += [one for row in report["moved"] for one in (*row["entries"], *row["receipts"])]
    rows += [one for row in report["rules"]["bundles"] for one in row["signatures"]]
    rows += [one for one in report["people"] if one["counted"]]
    numbers = {item["number"] for item in report["evidence"]}
    assert numbers == {*range(1, len(numbers) + 1)}
    for row in rows:
        assert row["evidence"], row
        assert {*row["evidence"]} <= numbers


def test_people_have_the_names_that_the_root_gives(audited: Audited) -> None:
    people = {one["key"]: one for one in audited.report["people"]}
    bob, ben = (people[person(name).key.id] for name in ("bob", "ben"))
    assert (bob["name"], bob["counted"]) == ("Bob Baker", {"builder": 4})
    assert (ben["revoked"], ben["revoked_since"]) == (True, "2026-01-10T00:00:00Z")
    assert [one["version"] for one in audited.report["roots"]] == [1, 2]
    assert any("revoked key" in line for line in audited.report["roots"][1]["changes"])


# ---- the page


def test_the_page_has_no_script_and_loads_nothing(audited: Audited) -> None:
    page = PageReader(audited.page)
    assert not {"script", "iframe", "object", "embed", "img", "link", "form", "base", "svg"} & {
        *page.tags
    }
    names = {name for name, _ in page.attributes}
    assert not {"src", "srcset", "style", "action", "background"} & names
    assert not {name for name in names if name.startswith("on")}
    assert all(link.startswith("#") for link in page.find("href"))
    style = audited.page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = (text for text in page.find("content") if text.startswith("default-src"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_every_link_leads_to_an_anchor_and_no_anchor_is_there_twice(audited: Audited) -> None:
    page = PageReader(audited.page)
    anchors = page.find("id")
    assert len(anchors) == len({*anchors})
    assert {link[1:] for link in page.find("href")} <= {*anchors}


def test_headings_are_in_order_and_the_language_is_named(audited: Audited) -> None:
    page = PageReader(audited.page)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.find("lang") == ["en"]
    assert all(value in ("col", "row") for value in page.find("scope"))


def test_what_others_wrote_is_shown_and_has_no_other_meaning(audited: Audited) -> None:
    page = PageReader(audited.page)
    assert HOSTILE in " ".join(page.words)
    assert "Ben <b>Bold</b>" in " ".join(page.words)
    assert "<script" not in audited.page
    assert "b" not in page.tags


def test_controls_name_evidence_and_never_say_that_one_is_met(audited: Audited) -> None:
    text = audited.page.lower() + json.dumps(audited.report).lower()
    assert "compliant" not in text
    assert "compliance" not in text
    anchors = {*PageReader(audited.page).find("id")}
    assert all(set(control.sections) <= anchors for control in CONTROLS)
    assert {control.standard for control in CONTROLS} >= {"NIST SP 800-53 r5", "NIS2"}


# ---- filters


def audit(audited: Audited, *words: str | Path) -> dict[str, Any]:
    ran = audited.side.run(*audited.site.words(*words, "--json"))
    assert ran.code == 0, ran.err
    return ran.json


@pytest.mark.parametrize(
    ("words", "versions"),
    [
        (("--item", "ranker:v2"), ["v2"]),
        (("--item", "ranker"), ["v1", "v2", "v3", "v5", "v7"]),
        (("--person", "Ben <b>Bold</b>"), ["v2"]),
        (("--person", "Sam"), ["v1"]),
        (("--person", "nobody"), []),
        (("--since", "2025-12-15"), ["v3", "v5", "v7"]),
        (("--until", "2025-12-03"), ["v1"]),
        (("--since", "2025-12-20", "--until", "2025-12-24"), ["v7"]),
    ],
)
def test_a_filter_leaves_what_it_says(
    words: tuple[str, ...], versions: list[str], audited: Audited
) -> None:
    report = audit(audited, *words)
    bundles = [audited.site.bundles[version] for version in versions]
    assert [one["bundle"] for one in report["moved"]] == bundles
    assert report["verdict"]["bundles_left_out"] == 5 - len(bundles)
    assert {one["bundle"] for one in report["exceptions"]} <= {None, *bundles}
    assert report["filter"] is not None
    assert "What the filter leaves out, which the head of the report names." in report["not_shown"]


def test_a_bundle_is_named_by_its_first_digits(audited: Audited) -> None:
    bundle = audited.site.bundles["v5"]
    assert [one["bundle"] for one in audit(audited, "--bundle", bundle[:8])["moved"]] == [bundle]


# ---- what is refused, and what contradicts


def test_a_ledger_of_which_an_entry_was_changed_is_refused(
    audited: Audited, tmp_path: Path
) -> None:
    site = make_audited_site(tmp_path / "site")
    path = site.top / "imports/entries"
    path.write_bytes(path.read_bytes().replace(b"imported", b"refused ", 1))
    expect_refusal(audited.side, *site.words(), error=NotTrustedError)
    assert not (site.top / "report.html").exists()


def test_a_folder_that_is_no_ledger_is_refused(audited: Audited, tmp_path: Path) -> None:
    expect_refusal(audited.side, *audited.site.words("--ledger", tmp_path), error=MissingError)


def test_without_a_root_nothing_is_reported(audited: Audited, tmp_path: Path) -> None:
    words = ("audit", audited.site.depot, "-o", tmp_path / "report.html")
    ran = expect_refusal(audited.side, *words, error=ConfigurationError)
    assert "--fingerprint" in ran.json["error"]["hint"]


def test_a_fingerprint_that_no_root_has_is_refused(audited: Audited) -> None:
    words = audited.site.words("--fingerprint", "SHA256:" + "0" * 64)
    expect_refusal(audited.side, *words, error=ConfigurationError)


def test_evidence_is_written_into_a_new_folder_only(audited: Audited, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    expect_refusal(audited.side, *audited.site.words("--evidence", tmp_path), error=ConflictError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_two_ledgers_of_one_origin_that_differ_contradict_each_other(
    audited: Audited, tmp_path: Path
) -> None:
    other = make_audited_site(tmp_path / "other")
    other.imports.raws.pop()
    other.imports.append("refused", 41, bundle=bytes(32), channel="nightly", sequence=9)
    fork = other.imports.write(tmp_path / "fork")

    ran = audited.side.run(*audited.site.words("--ledger", fork, "--json"))

    assert ran.code == 12
    assert ran.json["verdict"]["opinion"] == "contradiction"
    assert ran.json["exceptions"][0]["kind"] == "contradiction"
    assert "L2 and L3" in ran.json["exceptions"][0]["statement"]
    assert "■ Contradicts itself" in (audited.site.top / "report.html").read_text()


def test_a_receipt_of_an_entry_that_the_ledger_does_not_have_contradicts_it(
    audited: Audited, tmp_path: Path
) -> None:
    site = make_audited_site(tmp_path / "site")
    other = make_audited_site(tmp_path / "other")
    other.imports.append("imported", 50, bundle=bytes(32), channel="nightly", sequence=9)
    other.bundles["v9"] = "00" * 32
    raw = other.confirm("v9", 9, 50)
    site.imports.append("checked", 50)
    site.write()
    (site.top / "receipts/other.receipt.json").write_bytes(raw)

    ran = audited.side.run(*site.words("--json"))

    assert ran.code == 12
    assert "the ledger was rewritten" in ran.json["exceptions"][0]["statement"]


@pytest.mark.parametrize("since", [1, 5, 11])
def test_of_a_ledger_that_begins_later_all_that_is_shown_is_proven(
    since: int, audited: Audited, tmp_path: Path
) -> None:
    site = make_audited_site(tmp_path / "site")
    shutil.rmtree(site.top / "imports")
    site.imports.write(site.top / "imports", since=since)
    evidence = tmp_path / "evidence"

    ran = audited.side.run(*site.words("--evidence", evidence, "--json"))

    assert ran.code == 0, ran.err
    assert ran.json["verdict"]["kinds"]["not-shown"] == 1
    commands = [item["command"] for item in ran.json["evidence"] if "ledgers/2" in item["file"]]
    assert commands
    for command in commands:
        done = run_command(command, evidence)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
