"""Every event has exactly the fields that the format gives it (format §21)."""

import re

import pytest

from airgap.server.intake.event_schema import EVENTS, find_event_problem
from tests.support.sides import REPOSITORY

SECTION = (REPOSITORY / "docs/format.md").read_text().split("\n## 21 ")[1].split("\n## ")[0]


def _documented() -> dict[str, tuple[set[str], set[str]]]:
    """Required and optional fields of each event, as documented."""
    found = {}
    for row in re.findall(r"^\| (`.*?)\|.*\|(.*)\|(.*)\|$", SECTION, re.MULTILINE):
        names, required, optional = (set(re.findall(r"`([a-z_ ]+)`", cell)) for cell in row)
        for name in names - {"event"}:
            found[name] = (required, optional)
    return found


def test_the_document_has_the_events_of_the_code_with_the_same_fields() -> None:
    assert _documented() == {
        name: (set(fields.required), set(fields.optional)) for name, fields in EVENTS.items()
    }


def test_every_event_that_the_code_reports_is_in_the_schema_and_no_other() -> None:
    reported = set()
    for path in (REPOSITORY / "airgap/server").rglob("*.py"):
        text = path.read_text()
        reported |= set(re.findall(r"(?:notify|record|_report_upload)\(\s*\"([a-z ]+)\"", text))
    variable = {"importing", "verifying", "imported", "held", "quarantined"}

    by_commands = {"refused", "removed"}
    assert reported | variable | by_commands == EVENTS.keys()


@pytest.mark.parametrize(
    ("line", "is_logged", "problem"),
    [
        ({"event": "stopped"}, False, "lacks"),
        ({"at": "t", "event": "stopped", "more": 1}, False, "besides"),
        ({"at": "t", "event": "seen", "user": "", "name": "x"}, False, "for log"),
        ({"at": "t", "event": "stopped"}, True, "not for log"),
        ({"at": "t", "event": "else"}, False, "no event"),
        ({"at": "t", "event": "seen", "user": "", "name": "x"}, True, ""),
        ({"at": "t", "event": "trouble", "message": "m", "hint": "h"}, False, ""),
    ],
)
def test_an_event_that_differs_is_found(
    *,
    line: dict[str, object],
    is_logged: bool,
    problem: str,
) -> None:
    found = find_event_problem(line, is_logged=is_logged)

    assert problem in found
    assert bool(found) is bool(problem)
