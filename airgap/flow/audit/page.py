"""Renders a report as one HTML file: no script, nothing remote, for screen and paper. Pure.

It is made of the same plain data that programs read (format §38.3), and adds nothing to it.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from airgap.flow.audit.page_bundles import (
    render_exceptions,
    render_media,
    render_moved,
    render_times,
)
from airgap.flow.audit.page_evidence import render_controls, render_evidence, render_not_shown
from airgap.flow.audit.page_parts import SECTIONS, Report, link_evidence, show_code
from airgap.flow.audit.page_trust import (
    render_ledgers,
    render_people,
    render_roots,
    render_rules,
)
from airgap.markup import Content, Html, element, join, void
from airgap.printable import count_text

__all__ = ["render_page"]

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>{head}</head>
<body>
{body}
</body>
</html>
"""
_MARKS: Final = {"clean": "●", "exceptions": "▲", "contradiction": "■"}
_WORDS: Final = {
    "clean": "Consistent, no exceptions",
    "exceptions": "Consistent, with exceptions",
    "contradiction": "Contradicts itself",
}
_RENDERERS: Final[Mapping[str, Callable[[Report], Iterator[Content]]]] = {
    "exceptions": render_exceptions,
    "moved": render_moved,
    "people": render_people,
    "times": render_times,
    "media": render_media,
    "rules": render_rules,
    "ledgers": render_ledgers,
    "roots": render_roots,
    "controls": render_controls,
    "not-shown": render_not_shown,
    "evidence": render_evidence,
}
"""What writes each section, by its anchor."""


def render_page(report: Report) -> str:
    """Return the page."""
    sections = "".join(
        _render_section(anchor, title, _RENDERERS[anchor](report))
        for anchor, title in SECTIONS.items()
    )
    body = join(
        [
            element("header", *_render_head(report)),
            element("nav", _render_contents(), aria_label="Contents"),
            element("main", Html(sections)),
            element("footer", *_render_foot(report)),
        ],
        Html("\n"),
    )
    head = "".join(
        [
            void("meta", charset="utf-8"),
            void("meta", http_equiv="Content-Security-Policy", content=_make_policy()),
            void("meta", name="viewport", content="width=device-width, initial-scale=1"),
            void("meta", name="color-scheme", content="light dark"),
            void("meta", name="referrer", content="no-referrer"),
            element("title", f"Audit report of site {report['site']}, {report['made_at']}"),
            element("style", Html(_load_style())),
        ]
    )
    return _PAGE.format(head=head, body=body)


@cache
def _load_style() -> str:
    return (Path(__file__).parent / "texts/style.css").read_text(encoding="utf-8")


def _make_policy() -> str:
    """Allow nothing but this style: no script, no other file, no form, no base."""
    digest = base64.b64encode(hashlib.sha256(_load_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _render_head(report: Report) -> Iterator[Content]:
    verdict, root = report["verdict"], report["root"]
    yield element("p", "Audit report", class_="eyebrow")
    yield element("h1", f"What crossed the gap to site {report['site']}")
    opinion = verdict["opinion"]
    finding = f"{_MARKS[opinion]} {_WORDS[opinion]}"
    yield element(
        "div",
        element("p", "Verdict", class_="eyebrow"),
        element("p", element("strong", finding), class_="finding"),
        element("p", f"{verdict['statement']} {_summarize(verdict)}"),
        class_=f"opinion {opinion}",
    )
    facts = [
        ("Site", report["site"]),
        ("Report of", report["made_at"]),
        ("Made by", report["tool"]),
        (
            "Relies on",
            join(
                [
                    f"root version {root['version']}, ",
                    show_code(root["fingerprint"]),
                    link_evidence(root["evidence"]),
                ]
            ),
        ),
        ("Read", _describe_read(report["read"])),
        ("Limited to", _describe_filter(report["filter"])),
    ]
    rows = [part for term, fact in facts for part in (element("dt", term), element("dd", fact))]
    yield element("dl", *rows, class_="facts")


def _summarize(verdict: Report) -> str:
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(verdict["outcomes"].items()))
    left_out = verdict["bundles_left_out"]
    rest = f"; {count_text(left_out, 'more bundle')} left out by the filter" if left_out else ""
    return (
        f"{count_text(verdict['bundles'], 'bundle')} ({outcomes or 'none'}){rest};"
        f" {count_text(verdict['exceptions'], 'exception')};"
        f" {count_text(verdict['entries'], 'entry', 'entries')} of ledgers and"
        f" {count_text(verdict['receipts'], 'receipt')} were read."
    )


def _describe_read(read: Report) -> str:
    ledgers = ", ".join(read["ledgers"]) or "none"
    locations = ", ".join(read["locations"]) or "none"
    return f"ledgers: {ledgers}; bundles in: {locations}; receipts: {read['receipts']:,}"


def _describe_filter(wanted: Report | None) -> str:
    if wanted is None:
        return "nothing: all that was read"
    return "; ".join(f"{name} {value}" for name, value in sorted(wanted.items()) if value)


def _render_contents() -> Html:
    links = [
        element("li", element("a", title, href=f"#{anchor}")) for anchor, title in SECTIONS.items()
    ]
    return join([element("h2", "Contents"), element("ol", *links)])


def _render_section(anchor: str, title: str, content: Iterable[Content]) -> Html:
    heading = element("h2", title, id=anchor)
    return element("section", heading, join(content), aria_labelledby=anchor)


def _render_foot(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        f"Made by {report['tool']}. Numbers such as ",
        element("span", "[1]", class_="refs"),
        " lead to the evidence, its SHA-256, and the command that checks it without airgap, to be"
        " run in the folder that `airgap audit --evidence` writes.",
    )
