"""What one check of a folder found, as a summary."""

from collections.abc import Mapping
from typing import Any

import pytest

from airgap.cli.lines.checks import find_exit_code, list_counts, list_refusals
from airgap.errors import AirgapError
from airgap.server.intake.summary import SEVERITY, summarize

EMPTY: Mapping[str, Any] = {"quarantine": [], "waiting": [], "put_off": []}
IMPORTED = {"event": "imported", "name": "a.airgap", "arrival": "1", "bundle": "0" * 64}
REFUSED: Mapping[str, Any] = {
    "event": "quarantined",
    "name": "b.airgap",
    "arrival": "2",
    "at": "2026-01-01T00:00:00Z",
    "kind": "corrupt",
    "message": "It is damaged.",
    "hint": "Send it again.",
}


def test_nothing_found_is_done() -> None:
    summary = summarize([], EMPTY)

    assert (summary.items, summary.counts, summary.kind) == ((), {}, "done")
    assert list_counts(summary) == ["no new bundles."]
    assert list_refusals(summary) == []
    assert find_exit_code(summary.kind) == 0


def test_every_bundle_is_an_item_with_its_verdict() -> None:
    summary = summarize([IMPORTED, REFUSED], {**EMPTY, "quarantine": [REFUSED]})

    assert [(item["name"], item["verdict"]) for item in summary.items] == [
        ("a.airgap", "imported"),
        ("b.airgap", "quarantined"),
    ]
    assert summary.counts == {"imported": 1, "quarantined": 1}
    assert summary.items[1]["message"] == "It is damaged."
    assert find_exit_code(summary.kind) == 10


def test_a_bundle_that_was_refused_before_is_named_again() -> None:
    summary = summarize([], {**EMPTY, "quarantine": [REFUSED]})

    assert summary.counts == {"refused before": 1}
    assert list_refusals(summary) == [
        "b.airgap: refused before on 2026-01-01T00:00:00Z: It is damaged.",
        "  Send it again.",
    ]
    assert find_exit_code(summary.kind) == 10


def test_an_arriving_bundle_is_well_and_a_refused_one_is_not() -> None:
    arriving = {"name": "/c.airgap", "state": "arriving", "what": "2 of 3 packs are still to come"}
    refused = {"name": "/d", "state": "refused", "kind": "not-trusted", "what": "Nobody signed it."}
    summary = summarize([], {**EMPTY, "waiting": [arriving]})
    worse = summarize([], {**EMPTY, "waiting": [arriving, refused]})

    assert (summary.counts, summary.kind) == ({"arriving": 1}, "done")
    assert (worse.counts, worse.kind) == ({"arriving": 1, "refused so far": 1}, "not-trusted")
    assert worse.items[1]["name"] == "d"


def test_a_complete_bundle_that_was_not_taken_yet_is_well() -> None:
    ready = {"name": "/c.airgap", "state": "ready", "bundle": "0" * 64, "items": ["model a:v1"]}

    summary = summarize([], {**EMPTY, "waiting": [ready]})

    assert (summary.counts, summary.kind) == ({"complete": 1}, "done")


@pytest.mark.parametrize(("event", "code"), [("trouble", 15), ("changed", 15), ("abandoned", 130)])
def test_what_was_not_decided_is_not_well(event: str, code: int) -> None:
    line = {"event": event, "name": "x", "kind": "corrupt", "message": "Input/output error"}

    assert find_exit_code(summarize([line], EMPTY).kind) == code


def test_the_worst_verdict_decides() -> None:
    kinds = ["storage", "corrupt", "not-trusted", "missing"]
    events = [{**REFUSED, "arrival": kind, "kind": kind} for kind in kinds]

    assert summarize(events, EMPTY).kind == "not-trusted"
    assert summarize(events[:2], EMPTY).kind == "corrupt"
    assert find_exit_code("a kind that is new") == 1


def test_every_kind_has_a_rank() -> None:
    errors: list[type[AirgapError]] = [AirgapError, *AirgapError.__subclasses__()]

    assert {error.kind for error in errors} == {*SEVERITY}
