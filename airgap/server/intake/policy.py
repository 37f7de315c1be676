"""What is next for a thing in a folder, and for an import that has ended. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from airgap.errors import AirgapError
from airgap.flow.bundle.completeness import Completeness

__all__ = [
    "Lacking",
    "Ready",
    "Refused",
    "Seen",
    "Unable",
    "Verdict",
    "after",
    "next_step",
    "pause",
    "refusal",
    "seen_as",
]

MOST_TRIES: Final = 3
FIRST_PAUSE: Final = 10.0
LONGEST_PAUSE: Final = 3600.0

_ABOUT_THE_BUNDLE: Final = frozenset({"corrupt", "not-trusted", "policy", "missing", "conflict"})
_ABOUT_THIS_MACHINE: Final = frozenset({"configuration", "storage", "transport", "interrupted"})


@dataclass(frozen=True, slots=True)
class Ready:
    """All of it is there, as far as names and sizes tell."""

    arrival: Completeness


@dataclass(frozen=True, slots=True)
class Lacking:
    """It is on its way."""

    what: str
    bundle: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """This site does not admit it, as it is now."""

    error: AirgapError


@dataclass(frozen=True, slots=True)
class Unable:
    """It could not be looked at, which is not the thing's fault."""

    error: AirgapError


Seen = Ready | Lacking | Refused | Unable


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an import (or a verification) ended: ``done``, or the kind of an AirgapError."""

    kind: str
    message: str = ""
    hint: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


def seen_as(error: AirgapError) -> Refused | Unable:
    """Tell whose fault an error was."""
    return Refused(error) if error.kind in _ABOUT_THE_BUNDLE else Unable(error)


def next_step(
    seen: Seen, quiet: float, settle: float, *, finished: bool, wary: bool = False
) -> Literal["take", "wait", "refuse"]:
    """Decide about a thing.

    Args:
        seen: what a look at it has told.
        quiet: for how many seconds nothing about it has changed.
        settle: how long that must be before a refusal is final: the rest of a copy, or a further
            signature, may come after what was looked at.
        finished: whether whoever brought it has said that this is all.
        wary: whether it has looked whole before, and was changed while it was read: some programs
            give a file its size before its content.
    """
    match seen:
        case Ready():
            return "wait" if wary and quiet < settle else "take"
        case Refused() if quiet >= settle:
            return "refuse"
        case Lacking() if finished and quiet >= settle:
            return "refuse"
        case _:
            return "wait"


def refusal(seen: Seen) -> Verdict | None:
    """Return what is said of a thing that is refused before it is read."""
    match seen:
        case Refused(error):
            return Verdict(error.kind, error.message, error.hint)
        case Lacking(what):
            return Verdict("missing", f"It is not whole: {what}.", "Have it sent again.")
        case _:
            return None


def after(verdict: Verdict, tries: int) -> Literal["done", "again", "quarantine"]:
    """Decide about an import that has ended, after so many tries.

    What this machine lacks (space, a root) is waited for. A bundle that crashes the import is not
    tried for ever.
    """
    if verdict.kind == "done":
        return "done"
    if verdict.kind in _ABOUT_THIS_MACHINE:
        return "again"
    if verdict.kind in _ABOUT_THE_BUNDLE or tries >= MOST_TRIES:
        return "quarantine"
    return "again"


def pause(tries: int) -> float:
    """Return how many seconds to wait before the next try."""
    return float(min(FIRST_PAUSE * 2 ** min(tries - 1, 20), LONGEST_PAUSE))
