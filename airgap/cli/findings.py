"""Findings of a doctor, for people and for JSON."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from airgap.cli.output import Result
from airgap.cli.terminal import Line, Styled
from airgap.errors import ConfigurationError
from airgap.printable import count_text, make_printable

if TYPE_CHECKING:
    from airgap.flow.doctor.finding import Finding

__all__ = ["report_findings"]

_COLOURS: Final = {"ok": "green", "note": "yellow", "problem": "red"}
_INDENT: Final = " " * 9


def report_findings(
    findings: "Sequence[Finding]", subject: str, more: dict[str, Any] | None = None
) -> Result:
    """Report what a doctor found; a problem ends with exit code 3.

    Args:
        findings: in the order in which to fix problems.
        subject: what has the problems, as in ``This machine's setup``.
        more: further members of the JSON object.
    """
    quiet = click.get_current_context().obj["quiet"]
    problems = sum(finding.level == "problem" for finding in findings)
    notes = sum(finding.level == "note" for finding in findings)
    shown = [finding for finding in findings if finding.level == "problem" or not quiet]
    lines = [line for finding in shown for line in _lines(finding)]
    summary = f"{_count(problems, 'problem')}, {_count(notes, 'note')}."
    data: dict[str, Any] = {
        **(more or {}),
        "healthy": not problems,
        "findings": [asdict(finding) for finding in findings],
    }
    if not problems:
        return Result(data, [*lines, summary])
    data["error"] = {
        "kind": ConfigurationError.kind,
        "message": f"{subject} has {_count(problems, 'problem')}.",
        "hint": "See the findings: each says what to do.",
        "exit_code": ConfigurationError.exit_code,
    }
    return Result(data, [*lines, summary], ConfigurationError.exit_code)


def _lines(finding: "Finding") -> list[Line]:
    """Write a finding for a terminal of 80 columns; paths and commands stay in one piece."""
    label = Styled(f"{finding.level:<9}", _COLOURS[finding.level])
    first, *others = _fill(make_printable(finding.message)).split("\n")
    if finding.hint:
        hint = _fill(make_printable(finding.hint), _INDENT + "  ")
        others += f"{_INDENT}→ {hint}".split("\n")
    return [(label, first), *others]


def _fill(text: str, indent: str = _INDENT) -> str:
    filled = textwrap.fill(
        text,
        width=80,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.removeprefix(indent)


def _count(number: int, what: str) -> str:
    return count_text(number, what) if number else f"no {what}s"
