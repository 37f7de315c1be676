"""What others wrote cannot change a report, its evidence, or the commands that check it (§38)."""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest

from airgap.flow.audit.page import render_page
from airgap.markup import Html, element, escape
from tests.support.audited_site import AuditedSite, make_audited_site
from tests.support.sides import Side

STRUCTURE: Final = frozenset(
    {"opinion", "kinds", "kind", "outcome", "partner", "side", "sections", "result", "type"}
)
"""Members whose values airgap chooses from a list."""
ATTACKS: Final = {
    "markup": "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": '" onclick="alert(1)" x=\'',
    "entity": "&lt;script&gt;&#x3c;script&#x3e;",
    "turned around": "a\u202egnp.exe\u2066\u200f",
    "control": "a\x00\x07\x1b[2J\x1b]0;title\x07\r\nb\x85\u2028",
    "invisible": "a\u200b\u3164\U000e0001b\ufe0f",
    "long": "W" * 1000,
    "end of the style": "</style><style>body{display:none}</style>",
    "comment": "<!-- --><![CDATA[ ]]>",
}


class Skeleton(HTMLParser):
    """The elements and the names of attributes of a page, without texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shape: list[tuple[str, ...]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.shape.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.shape.append(("comment", data))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> AuditedSite:
    return make_audited_site(tmp_path_factory.mktemp("attacked"))


@pytest.fixture(scope="module")
def report(site: AuditedSite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    side = Side(tmp_path_factory.mktemp("side"))
    printed = side.run(*site.words("--json"))
    assert printed.code == 0, printed.err
    return printed.json


def replace_texts(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401
    """Return a report with every text changed that somebody else may have chosen."""
    if isinstance(value, dict):
        return {
            name: part if name in STRUCTURE else replace_texts(part, change)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [replace_texts(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_a_text_in_any_place_of_a_report_is_inert(text: str, report: dict[str, Any]) -> None:
    plain = render_page(replace_texts(copy.deepcopy(report), lambda _: "plain"))
    page = render_page(replace_texts(copy.deepcopy(report), lambda _: text))
    assert Skeleton(page).shape == Skeleton(plain).shape
    body = page.partition("</style>")[2]
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", body
    )


def test_only_what_was_made_as_html_is_html() -> None:
    assert element("p", "<b>") == "<p>&lt;b&gt;</p>"
    assert element("p", escape("<b>")) == "<p>&lt;b&gt;</p>"
    assert element("p", element("b", "x")) == "<p><b>x</b></p>"
    assert element("a", "x", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">x</a>'

    class Forged(str):
        """Foreign text of another class is foreign text."""

        __slots__ = ()

    assert element("p", Forged("<b>")) == "<p>&lt;b&gt;</p>"
    assert type(escape("<b>")) is Html


def test_commands_have_nothing_that_others_chose(site: AuditedSite, report: dict[str, Any]) -> None:
    """Names, notes and tags are in no command: only digests, numbers, and airgap's own words."""
    for item in report["evidence"]:
        assert re.fullmatch(r"[\w\-./ ]+", item["file"])
        words = re.sub(r"sed -n 's/\^\{[^']*'", "", item["command"])
        assert not re.search(r"[`;<>*?~!]|ranker|nightly|Ben", words), item["command"]
    del site


def test_a_receipt_under_a_hostile_name_gets_another_one(site: AuditedSite, tmp_path: Path) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    raw = (site.top / "receipts/v1.receipt.json").read_bytes()
    (folder / "$(touch pwned);'\n.receipt.json").write_bytes(raw)
    side = Side(tmp_path / "side")
    side.top.mkdir()
    words = [word for word in site.words() if word != site.top / "receipts"]
    words.remove("--receipts")

    ran = side.run(*words, "--receipts", folder, "--evidence", tmp_path / "evidence", "--json")

    assert ran.code == 0, ran.err
    done = subprocess.run(
        ["sh", "check.sh"], cwd=tmp_path / "evidence", check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert not [*tmp_path.rglob("pwned")]


def test_evidence_does_not_run_python_that_lies_beside(site: AuditedSite, tmp_path: Path) -> None:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    evidence = tmp_path / "evidence"
    assert side.run(*site.words("--evidence", evidence)).code == 0
    for name in ("json", "subprocess", "tempfile", "base64"):
        (evidence / f"{name}.py").write_text("raise SystemExit('ran')\n")
    words = ("ledgers/1", "--fingerprint", site.fingerprint)

    done = subprocess.run(
        ["python3", "verify-ledger.py", *words],
        cwd=evidence,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ACCEPTED" in done.stdout


CHANGES: Final[dict[str, Callable[[Path], object]]] = {
    "an entry was left out": lambda folder: (folder / "entries").write_bytes(
        (folder / "entries").read_bytes()[: -len((folder / "entries").read_bytes()) // 4]
    ),
    "an entry was changed": lambda folder: (folder / "entries").write_bytes(
        (folder / "entries").read_bytes().replace(b"imported", b"refused!", 1)
    ),
    "its text says something else": lambda folder: (folder / "entries.jsonl").write_text(
        (folder / "entries.jsonl").read_text().replace('"imported"', '"refused"', 1)
    ),
    "its text leaves one out": lambda folder: (folder / "entries.jsonl").write_text(
        (folder / "entries.jsonl").read_text().partition("\n")[2]
    ),
    "another checkpoint": lambda folder: (folder / "checkpoint").write_bytes(
        (folder.parent / "1/checkpoint").read_bytes()
    ),
    "another edge": lambda folder: (folder / "edge").write_text("1\n" + "A" * 43 + "=\n"),
    "another root": lambda folder: (folder / "root.msgpack").write_bytes(
        (folder / "root.msgpack").read_bytes() + b"\0"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_second_verifier_refuses_a_ledger_that_was_changed(
    change: Callable[[Path], object], site: AuditedSite, tmp_path: Path
) -> None:
    side = Side(tmp_path / "side")
    side.top.mkdir()
    evidence = tmp_path / "evidence"
    assert side.run(*site.words("--evidence", evidence)).code == 0
    change(evidence / "ledgers/2")

    done = subprocess.run(
        ["python3", "verify-ledger.py", "ledgers/2", "--fingerprint", site.fingerprint],
        cwd=evidence,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("REFUSED")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("is_first", [True, False])
def test_a_rejection_counts_in_whatever_copy_it_lies(
    site: AuditedSite, tmp_path: Path, *, is_first: bool
) -> None:
    """Who can write into one depot puts an approver's older acceptance in its place there."""
    other = replace(copy.deepcopy(site), top=tmp_path)
    shutil.copytree(site.depot, other.depot)
    other.attest("v1", "approver", "dan", 2, "reject")
    depots = (other.depot, site.depot) if is_first else (site.depot, other.depot)
    words = [*site.words("--json", "--evidence", tmp_path / "evidence")[2:], *depots]

    report = Side(tmp_path / "side").run("audit", *words).json

    refused = [one for one in report["exceptions"] if one["kind"] == "not-admitted"]
    (about,) = (one for one in refused if one["bundle"] == site.bundles["v1"])
    assert "rule 9" in about["statement"]
    (both,) = (one for one in report["exceptions"] if one["kind"] == "copies-differ")
    cited = {one["number"]: one for one in report["evidence"]}
    files = [cited[number]["file"] for number in both["evidence"]]
    folders = (f"bundles/{both['bundle']}/", f"copies/2/{both['bundle']}/")
    assert len(files) == 2 * len({Path(file).name for file in files})
    for first, second in zip(files[::2], files[1::2], strict=True):
        copies = [folder + Path(first).name for folder in folders]
        assert [first, second] == copies
        assert len({(tmp_path / "evidence" / file).read_bytes() for file in copies}) == 2
    row = next(one for one in report["rules"]["bundles"] if one["bundle"] == both["bundle"])
    decisions = [one["decision"] for one in row["signatures"] if one["role"] == "approver"]
    assert sorted(filter(None, decisions)) == ["accept", "reject"]
    shown = [one["key"] for one in row["signatures"] if one["role"] == "builder"]
    assert len(shown) == len(set(shown))  # what is the same in both is shown once
    done = subprocess.run(
        ["/bin/sh", "check.sh"],
        cwd=tmp_path / "evidence",
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
