"""What one check of a folder found: every bundle with its verdict, the counts, and the worst."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DONE", "REPORTED_EVENTS", "Summary", "summarize"]

REPORTED_EVENTS: Final = frozenset(
    {"imported", "held", "quarantined", "put off", "changed", "trouble", "abandoned"}
)
SEVERITY: Final = (
    *("bug", "usage", "not-trusted", "corrupt", "conflict", "policy", "missing"),
    *("configuration", "storage", "transport", "interrupted"),
)
"""The kinds of verdicts, from the worst on."""
DONE: Final = "done"
_KINDS: Final = {"changed": "storage", "trouble": "storage", "abandoned": "interrupted"}
_STATES: Final = {
    "arriving": "arriving",
    "ready": "complete",
    "refused": "refused so far",
    "put off": "put off",
}
_FIELDS: Final = ("at", "bundle", "kind", "message", "hint", "items", "signed_by")


@dataclass(frozen=True, slots=True)
class Summary:
    """Each item has ``name`` and ``verdict``, and ``kind`` and ``message`` unless all is well.

    ``kind``: the worst of all, or ``done``.
    """

    items: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]
    kind: str


def summarize(events: Iterable[Mapping[str, Any]], status: Mapping[str, Any]) -> Summary:
    """Summarize a check from its events and the status after it (format §21).

    A bundle that was refused in an earlier check, and is still there, is an item as well.
    """
    items = tuple(_list_items(events, status))
    counts = Counter(item["verdict"] for item in items)
    kinds = {item["kind"] for item in items if "kind" in item}
    worst = min(kinds, key=_rank, default=DONE)
    return Summary(items, dict(sorted(counts.items())), worst)


def _list_items(
    events: Iterable[Mapping[str, Any]], status: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    reported = set[str]()
    for event in _leave_out_settled(events):
        reported.add(event.get("arrival", ""))
        kind = _KINDS.get(event["event"])
        yield {**_make_item(event, event["event"]), **({"kind": kind} if kind else {})}
    for record in status["quarantine"]:
        if record["arrival"] not in reported:
            yield _make_item(record, "refused before")
    for pending in status["put_off"]:
        if pending["arrival"] not in reported:
            yield _make_item(pending, "put off")
    for waiting in status["waiting"]:
        name, message = waiting["name"].removeprefix("/"), waiting.get("what", "")
        entry = {**waiting, "name": name, "message": message}
        yield _make_item(entry, _STATES[waiting["state"]])


def _leave_out_settled(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events, but none of a bundle that was put off before it came to its end."""
    listed = [*events]
    last = {event["arrival"]: event for event in listed if "arrival" in event}
    return [
        event for event in listed if event["event"] != "put off" or last[event["arrival"]] is event
    ]


def _make_item(source: Mapping[str, Any], verdict: str) -> dict[str, Any]:
    fields = {key: source[key] for key in _FIELDS if source.get(key)}
    return {"name": source.get("name", ""), "verdict": verdict, **fields}


def _rank(kind: str) -> int:
    """Return the place of a kind in ``SEVERITY``; the worst has the lowest."""
    return SEVERITY.index(kind) if kind in SEVERITY else 0
