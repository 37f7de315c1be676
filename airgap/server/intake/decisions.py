"""Decides what happens next to a candidate, and to a job after a try. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from airgap.errors import AirgapError
from airgap.flow.bundle.completeness import Completeness

__all__ = [
    "CandidateState",
    "Incomplete",
    "Postponed",
    "Ready",
    "Refused",
    "Verdict",
    "choose_step",
    "classify_error",
    "compute_retry_delay",
    "decide_after_try",
    "explain_refusal",
    "explain_state",
    "is_in_the_way",
]

MAX_TRIES: Final = 3
FIRST_DELAY: Final = 10.0
MAX_DELAY: Final = 3600.0

_BUNDLE_ERRORS: Final = frozenset({"corrupt", "not-trusted", "policy", "missing", "conflict"})
_MACHINE_ERRORS: Final = frozenset({"configuration", "storage", "transport", "interrupted"})


@dataclass(frozen=True, slots=True)
class Ready:
    """Every file of an admitted bundle has arrived, judging by names and sizes."""

    expected: Completeness


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Part of it has not arrived yet: ``missing`` says what."""

    missing: str
    bundle_id: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """This site does not admit it in its current state."""

    error: AirgapError


@dataclass(frozen=True, slots=True)
class Postponed:
    """This machine cannot check it at the moment; the bundle is not to blame."""

    error: AirgapError


CandidateState = Ready | Incomplete | Refused | Postponed


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an import or a verification ended: ``done``, or the kind of an AirgapError."""

    kind: str
    message: str = ""
    hint: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


def classify_error(error: AirgapError) -> Refused | Postponed:
    """Tell whether an error is the bundle's fault or this machine's."""
    return Refused(error) if error.kind in _BUNDLE_ERRORS else Postponed(error)


def choose_step(
    state: CandidateState,
    unchanged: float,
    settle: float,
    *,
    finished: bool,
    changed_before: bool = False,
) -> Literal["take", "wait", "refuse"]:
    """Decide what to do with a candidate.

    Args:
        state: the result of checking it.
        unchanged: for how many seconds it has not changed.
        settle: how many seconds it must not have changed before a refusal is final: the rest of a
            copy, or another signature, may still arrive.
        finished: whether the sender has declared it complete, by renaming it.
        changed_before: whether it once looked complete and changed while it was read: some
            programs allocate a file before they write its content.
    """
    match state:
        case Ready():
            return "wait" if changed_before and unchanged < settle else "take"
        case Refused() if unchanged >= settle:
            return "refuse"
        case Incomplete() if finished and unchanged >= settle:
            return "refuse"
        case _:
            return "wait"


def explain_refusal(state: CandidateState) -> Verdict | None:
    """Return the verdict on a candidate that is refused without being read."""
    match state:
        case Refused(error):
            return Verdict(error.kind, error.message, error.hint)
        case Incomplete(missing):
            return Verdict("missing", f"The bundle is incomplete: {missing}.", "Send it again.")
        case _:
            return None


def explain_state(state: CandidateState) -> Verdict | None:
    """Return what stops a bundle that was taken; None if nothing does."""
    if isinstance(state, Postponed):
        return Verdict(state.error.kind, state.error.message, state.error.hint)
    return explain_refusal(state)


def is_in_the_way(
    state: CandidateState,
    expected: Completeness | None,
    newer: Completeness,
    unchanged: float,
    settle: float,
) -> bool:
    """Tell whether a complete bundle waits for an older one of its channel that is arriving.

    Once the newer one is imported, the older one is refused (format §17.1). It waits only as long
    as more of the older one arrives: what has not changed for ``settle`` seconds may never come.
    """
    if not isinstance(state, Incomplete) or expected is None or unchanged >= settle:
        return False
    older, age = expected.age, newer.age
    return older.channel == age.channel and older.sequence < age.sequence


def decide_after_try(
    verdict: Verdict, tries: int, *, may_wait: bool = False
) -> Literal["done", "retry", "wait", "quarantine"]:
    """Decide what to do after ``tries`` tries, the last of which ended with ``verdict``.

    Errors of this machine (no space, no root) are retried without limit; a bundle that crashes the
    import is not. A bundle that needs chunks of others ``may_wait``: those may still arrive.
    """
    if verdict.kind == "done":
        return "done"
    if verdict.kind == "missing" and may_wait:
        return "wait"
    if verdict.kind in _MACHINE_ERRORS:
        return "retry"
    if verdict.kind in _BUNDLE_ERRORS or tries >= MAX_TRIES:
        return "quarantine"
    return "retry"


def compute_retry_delay(tries: int) -> float:
    """Return how many seconds to wait before the next try."""
    return float(min(FIRST_DELAY * 2 ** min(tries - 1, 20), MAX_DELAY))
