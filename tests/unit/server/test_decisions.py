"""What happens next to a candidate, and to a job after a try."""

import pytest

from airgap.errors import AirgapError, ConfigurationError, CorruptError
from airgap.flow.bundle.completeness import Age, Completeness
from airgap.server.intake import decisions
from airgap.server.intake.decisions import (
    CandidateState,
    Incomplete,
    Postponed,
    Ready,
    Refused,
    Verdict,
)

READY = Ready(Completeness("0" * 64, (), (), Age("0" * 64, "default", 0, 0)))
REFUSED = Refused(CorruptError("It is damaged.", "Copy it again."))
INCOMPLETE = Incomplete("1 of 2 packs are still to come")
POSTPONED = Postponed(ConfigurationError("Nobody is trusted.", "Trust somebody."))


@pytest.mark.parametrize(
    ("state", "unchanged", "fact", "step"),
    [
        pytest.param(READY, 0, "", "take", id="what is complete is taken at once"),
        pytest.param(READY, 9, "changed", "wait", id="unless it changed while it was read"),
        pytest.param(READY, 10, "changed", "take", id="then it must settle first"),
        pytest.param(REFUSED, 9, "", "wait", id="a refusal is not final at once"),
        pytest.param(REFUSED, 10, "", "refuse", id="but when nothing changes any more"),
        pytest.param(INCOMPLETE, 1e9, "", "wait", id="what is incomplete is waited for"),
        pytest.param(INCOMPLETE, 10, "finished", "refuse", id="unless its sender has finished it"),
        pytest.param(INCOMPLETE, 9, "finished", "wait", id="which is not final at once either"),
        pytest.param(POSTPONED, 1e9, "finished", "wait", id="this machine is at fault: wait"),
    ],
)
def test_the_next_step(state: CandidateState, unchanged: float, fact: str, step: str) -> None:
    finished, changed_before = fact == "finished", fact == "changed"

    chosen = decisions.choose_step(
        state, unchanged, 10, finished=finished, changed_before=changed_before
    )

    assert chosen == step


@pytest.mark.parametrize(
    ("kind", "tries", "then"),
    [
        ("done", 1, "done"),
        *((kind, 1, "quarantine") for kind in ("corrupt", "not-trusted", "policy", "conflict")),
        *((kind, 99, "retry") for kind in ("storage", "configuration", "interrupted")),
        ("bug", 1, "retry"),
        ("bug", decisions.MAX_TRIES, "quarantine"),
        ("usage", decisions.MAX_TRIES, "quarantine"),
    ],
)
def test_after_an_import(kind: str, tries: int, then: str) -> None:
    assert decisions.decide_after_try(Verdict(kind), tries) == then


def test_a_bundle_that_lacks_chunks_waits_only_if_it_may() -> None:
    missing = Verdict("missing")

    assert decisions.decide_after_try(missing, 99, may_wait=True) == "wait"
    assert decisions.decide_after_try(missing, 1) == "quarantine"
    assert decisions.decide_after_try(Verdict("policy"), 1, may_wait=True) == "quarantine"
    assert decisions.decide_after_try(Verdict("storage"), 1, may_wait=True) == "retry"


def make_numbered(number: int, channel: str = "a") -> Completeness:
    return Completeness("0" * 64, (), (), Age("0" * 64, channel, number, 0))


@pytest.mark.parametrize(
    ("state", "older", "unchanged", "result"),
    [
        (INCOMPLETE, make_numbered(1), 9, True),
        (INCOMPLETE, make_numbered(1), 10, False),
        (INCOMPLETE, make_numbered(3), 9, False),
        (INCOMPLETE, make_numbered(2), 9, False),
        (INCOMPLETE, make_numbered(1, "b"), 9, False),
        (INCOMPLETE, None, 9, False),
        (REFUSED, make_numbered(1), 9, False),
    ],
)
def test_an_older_bundle_of_the_channel_is_in_the_way_while_it_arrives(
    state: CandidateState, older: Completeness | None, unchanged: float, *, result: bool
) -> None:
    newer = make_numbered(2)

    assert decisions.is_in_the_way(state, older, newer, unchanged, 10) is result


def test_every_kind_of_error_leads_to_a_retry_or_quarantine() -> None:
    kinds: list[type[AirgapError]] = [AirgapError, *AirgapError.__subclasses__()]
    for error in kinds:
        assert decisions.decide_after_try(Verdict(error.kind), decisions.MAX_TRIES) in (
            "retry",
            "quarantine",
        )


def test_retry_delays_double_up_to_an_hour() -> None:
    assert [decisions.compute_retry_delay(tries) for tries in (1, 2, 3)] == [10, 20, 40]
    assert decisions.compute_retry_delay(10_000) == 3600
