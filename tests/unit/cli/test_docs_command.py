"""``airgap docs``: pages, parts of pages and terms, and where the site is."""

import json
from pathlib import Path

import pytest

from airgap.cli import terminal
from airgap.flow import manual
from tests.support import sides
from tests.support.sides import REPOSITORY


def _print(*words: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(terminal, "measure_columns", lambda **_: columns)
    monkeypatch.setattr("airgap.cli.docs.measure_columns", lambda **_: columns)
    ran = sides.run_cli(("docs", *words), {})
    assert ran.code == 0, ran.err
    lines: list[str] = ran.out.splitlines()
    return lines


def test_every_page_of_the_folder_is_listed_with_its_title(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = _print(columns=0, monkeypatch=monkeypatch)

    names = {path.stem for path in REPOSITORY.glob("docs/*.md")}
    assert {line.split()[0] for line in lines[: len(names)]} == names
    assert "exit-codes                 Exit codes" in lines


def test_for_a_program_a_page_is_what_was_written() -> None:
    ran = sides.run_cli(("docs", "getting-started"), {})

    assert ran.out == (REPOSITORY / "docs/getting-started.md").read_text()


@pytest.mark.parametrize("topic", ["depot", "glossary#depot", "glossary.md#depot"])
def test_a_term_is_that_entry_of_the_glossary(topic: str) -> None:
    ran = sides.run_cli(("docs", topic, "--json"), {})

    page = json.loads(ran.out)
    assert page["title"] == "depot"
    assert page["text"].startswith("## depot\n\nA folder")
    assert page["text"].count("## ") == 1


def test_a_part_ends_where_the_next_of_its_level_begins() -> None:
    part = manual.read_topic("getting-started#once-keys-and-a-root")

    assert part.text.startswith("## Once: keys and a root\n")
    assert part.text.count("\n## ") == 0
    assert "airgap init" in part.text


def test_a_heading_in_code_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "glossary.md").write_text("# Glossary\n\n~~~sh\n## no\n```\n## no\n~~~\n\n## yes\n")
    monkeypatch.setattr(manual, "_FOLDERS", (tmp_path,))

    assert manual.read_topic("yes").text == "## yes\n"
    assert sides.run_cli(("docs", "no"), {}).code == 2


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_on_a_terminal_a_page_fits_and_has_no_marks(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _print("keys-and-trust", columns=columns, monkeypatch=monkeypatch)

    assert max(map(len, lines)) <= min(columns, 100)
    assert not [line for line in lines if line.startswith(("#", "```")) or "](" in line]


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("getting-startet", "Did you mean `airgap docs getting-started`?"),
        ("../README", "`airgap docs` lists the pages."),
        ("/etc/passwd", "`airgap docs` lists the pages."),
        ("exit-codes#qqq", "`airgap docs` lists the pages."),
        ("\x1b[2J", "`airgap docs` lists the pages."),
    ],
)
def test_what_is_no_page_is_refused_with_what_to_do(topic: str, hint: str) -> None:
    ran = sides.run_cli(("docs", topic), {})

    assert ran.code == 2
    assert ran.err.endswith(f"  → {hint}\n")
    assert "\x1b" not in ran.err


def test_the_path_is_that_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual, "_SITES", (tmp_path / "none", tmp_path))
    (tmp_path / "index.html").touch()

    ran = sides.run_cli(("docs", "--path"), {})

    assert ran.out == f"{tmp_path}/index.html\n"


def test_without_the_site_or_the_pages_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manual, "_SITES", (tmp_path,))
    monkeypatch.setattr(manual, "_FOLDERS", (tmp_path,))

    site, pages = (sides.run_cli(("docs", *words), {}) for words in (["--path"], []))

    assert (site.code, pages.code) == (13, 13)
    assert "`airgap docs PAGE`" in site.err
    assert "bento-airgap" in pages.err


def test_a_topic_and_the_path_exclude_each_other() -> None:
    assert sides.run_cli(("docs", "depot", "--path"), {}).code == 2
