"""The end of a report's page: where evidence is, and of what there is none. Pure."""

from collections.abc import Iterator

from airgap.flow.audit.page_parts import (
    SECTIONS,
    Report,
    show_code,
)
from airgap.markup import Content, element, join, table

__all__ = ["render_controls", "render_evidence", "render_not_shown"]


def render_controls(report: Report) -> Iterator[Content]:
    """Yield where evidence for controls is."""
    yield element(
        "p",
        "Where evidence is for controls that auditors often ask about. Whether a control is met is"
        " for the auditor to say.",
    )
    rows = [
        (
            None,
            [
                f"{one['standard']} {one['id']}",
                one["subject"],
                join(
                    [element("a", SECTIONS[name], href=f"#{name}") for name in one["sections"]],
                    ", ",
                ),
            ],
        )
        for one in report["controls"]
    ]
    yield table("Controls", ["Control", "About", "Evidence in"], rows)


def render_not_shown(report: Report) -> Iterator[Content]:
    """Yield what the report does not show."""
    yield element("ul", *(element("li", sentence) for sentence in report["not_shown"]))


def render_evidence(report: Report) -> Iterator[Content]:
    """Yield each piece of evidence, and the command that checks it."""
    yield element(
        "p",
        "Each command succeeds (exit code 0) in the evidence folder, with openssl, python3 and the"
        " tools of any POSIX system. check.sh there runs them all.",
    )
    items = [
        element(
            "li",
            element("span", f"[{one['number']}]", class_="number"),
            element("p", f"{one['what']}."),
            element("p", show_code(one["file"]), class_="soft"),
            element("p", "SHA-256 ", show_code(one["sha256"]), class_="soft"),
            element("code", one["command"], class_="command"),
            id=f"e-{one['number']}",
        )
        for one in report["evidence"]
    ]
    yield element("ol", *items, class_="evidence")
