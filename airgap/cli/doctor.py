"""``airgap doctor``: tell what is wrong with this machine's setup."""

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from airgap.cli.output import Result, reports
from airgap.errors import ConfigurationError

if TYPE_CHECKING:
    from airgap.flow.doctor.finding import Finding

_COLOURS: Final = {"ok": "green", "note": "yellow", "problem": "red"}
_INDENT: Final = " " * 9


@click.command(name="doctor")
@reports
def command() -> Result:
    """Tell what is wrong with this machine's setup, and what to do. Changes nothing.

    Looks at Python and its packages, airgap's state and root, keys, the clock, and the stores.
    """
    from airgap.flow.doctor.diagnose import examine

    quiet = click.get_current_context().obj["quiet"]
    findings = list(examine())
    problems = sum(one.level == "problem" for one in findings)
    notes = sum(one.level == "note" for one in findings)
    told = [one for one in findings if one.level == "problem" or not quiet]
    lines = [line for one in told for line in _lines(one)]
    summary = f"{_count(problems, 'problem')}, {_count(notes, 'note')}."
    about: dict[str, Any] = {
        "healthy": not problems,
        "findings": [asdict(one) for one in findings],
    }
    if not problems:
        return Result(about, [*lines, summary])
    about["error"] = {
        "kind": ConfigurationError.kind,
        "message": f"This machine's setup has {_count(problems, 'problem')}.",
        "hint": "See the findings: each says what to do.",
        "exit_code": ConfigurationError.exit_code,
    }
    return Result(about, [*lines, summary], ConfigurationError.exit_code)


def _lines(finding: "Finding") -> list[str]:
    """Write a finding for a terminal of 80 columns; paths and commands stay in one piece."""
    label = click.style(f"{finding.level:<9}", fg=_COLOURS[finding.level], bold=True)
    lines = label + _filled(finding.message)
    if finding.hint:
        lines += f"\n{_INDENT}→ {_filled(finding.hint, _INDENT + '  ')}"
    return lines.split("\n")


def _filled(text: str, indent: str = _INDENT) -> str:
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
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
