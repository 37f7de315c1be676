"""The events of services and imports, and exactly the fields of each (format §21)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["EVENTS", "EventFields", "find_event_problem"]

_ALWAYS: Final = frozenset({"at", "event"})


@dataclass(frozen=True, slots=True)
class EventFields:
    """The fields of an event beside ``at`` and ``event``.

    ``is_logged`` tells that it is about a bundle and stands in ``log.jsonl``; all are printed.
    """

    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    is_logged: bool = False


def _fields(required: str, optional: str = "", *, is_logged: bool = False) -> EventFields:
    return EventFields(frozenset(required.split()), frozenset(optional.split()), is_logged)


_ARRIVAL: Final = "arrival user name bundle"
_VERDICT: Final = "kind message hint"

EVENTS: Final[Mapping[str, EventFields]] = {
    "seen": _fields("user name", is_logged=True),
    "taken": _fields(_ARRIVAL, is_logged=True),
    "importing": _fields(_ARRIVAL, is_logged=True),
    "verifying": _fields(_ARRIVAL, is_logged=True),
    "put off": _fields(f"{_ARRIVAL} {_VERDICT}", "seconds", is_logged=True),
    "changed": _fields(f"{_ARRIVAL} {_VERDICT}", is_logged=True),
    "imported": _fields(f"{_ARRIVAL} items signed_by", "completes", is_logged=True),
    "held": _fields(f"{_ARRIVAL} items signed_by", "completes not_checked", is_logged=True),
    "quarantined": _fields(f"{_ARRIVAL} {_VERDICT}", "digest", is_logged=True),
    "watching": _fields("folder state"),
    "serving": _fields("ports"),
    "waiting": _fields("message"),
    "stopped": _fields(""),
    "abandoned": _fields(_ARRIVAL),
    "trouble": _fields("message", f"hint {_ARRIVAL}"),
    "refused": _fields(f"user name {_VERDICT}"),
    "removed": _fields("user items"),
    "received": _fields("user name address"),
    "broken off": _fields("user name address"),
    "login failed": _fields("user address"),
    "ftp": _fields("message"),
    "bug": _fields("message"),
}


def find_event_problem(line: Mapping[str, Any], *, is_logged: bool) -> str:
    """Say how an event differs from its schema; empty if it does not."""
    schema = EVENTS.get(line.get("event", ""))
    if schema is None:
        return f"there is no event {line.get('event')!r}"
    if schema.is_logged is not is_logged:
        return f"{line['event']} is {'not ' if is_logged else ''}for log.jsonl"
    present = frozenset(line) - _ALWAYS
    missing = (schema.required | _ALWAYS) - frozenset(line)
    extra = present - schema.required - schema.optional
    if missing or extra:
        return f"{line['event']} lacks {sorted(missing)} and has {sorted(extra)} besides"
    return ""
