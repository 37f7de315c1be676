"""What is next for a thing, and after an import."""

import pytest

from airgap.errors import AirgapError, ConfigurationError, CorruptError
from airgap.flow.bundle.completeness import Completeness
from airgap.server.intake import policy as intake_policy
from airgap.server.intake.policy import Lacking, Ready, Refused, Seen, Unable, Verdict

READY = Ready(Completeness("0" * 64, (), ()))
REFUSED = Refused(CorruptError("It is damaged.", "Copy it again."))
LACKING = Lacking("1 of 2 packs are still to come")
UNABLE = Unable(ConfigurationError("Nobody is trusted.", "Trust somebody."))


@pytest.mark.parametrize(
    ("seen", "quiet", "about", "step"),
    [
        pytest.param(READY, 0, "", "take", id="what is whole is taken at once"),
        pytest.param(READY, 9, "wary", "wait", id="what changed while it was read is not"),
        pytest.param(READY, 10, "wary", "take", id="but when it has settled"),
        pytest.param(REFUSED, 9, "", "wait", id="a refusal is not final at once"),
        pytest.param(REFUSED, 10, "", "refuse", id="but when nothing changes"),
        pytest.param(LACKING, 1e9, "", "wait", id="what is on its way is waited for"),
        pytest.param(LACKING, 10, "finished", "refuse", id="unless its sender said it is all"),
        pytest.param(LACKING, 9, "finished", "wait", id="which is not final at once either"),
        pytest.param(UNABLE, 1e9, "finished", "wait", id="this machine's fault is waited for"),
    ],
)
def test_the_next_step(seen: Seen, quiet: float, about: str, step: str) -> None:
    finished, wary = about == "finished", about == "wary"

    assert intake_policy.next_step(seen, quiet, 10, finished=finished, wary=wary) == step


@pytest.mark.parametrize(
    ("kind", "tries", "then"),
    [
        ("done", 1, "done"),
        *((kind, 1, "quarantine") for kind in ("corrupt", "not-trusted", "policy", "conflict")),
        *((kind, 99, "again") for kind in ("storage", "configuration", "interrupted")),
        ("bug", 1, "again"),
        ("bug", intake_policy.MOST_TRIES, "quarantine"),
        ("usage", intake_policy.MOST_TRIES, "quarantine"),
    ],
)
def test_after_an_import(kind: str, tries: int, then: str) -> None:
    assert intake_policy.after(Verdict(kind), tries) == then


def test_every_kind_of_error_has_a_way_to_end() -> None:
    kinds: list[type[AirgapError]] = [AirgapError, *AirgapError.__subclasses__()]
    for error in kinds:
        assert intake_policy.after(Verdict(error.kind), intake_policy.MOST_TRIES) in (
            "again",
            "quarantine",
        )


def test_pauses_grow_and_end_at_an_hour() -> None:
    assert [intake_policy.pause(tries) for tries in (1, 2, 3)] == [10, 20, 40]
    assert intake_policy.pause(10_000) == 3600
