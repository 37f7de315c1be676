"""What this machine remembers of its imports, and of the exports that it has numbered."""

from collections.abc import Iterator

from airgap.errors import AirgapError
from airgap.flow.admission import history, policy
from airgap.flow.doctor.finding import Finding, ok, problem
from airgap.flow.exporting import sequence
from airgap.state import pinned_root

__all__ = ["exports", "imports"]


def imports() -> Iterator[Finding]:
    """Examine the ledger, down to every entry."""
    try:
        if pinned_root.load_root() is None:
            return
        name = policy.require_root().value.site
    except AirgapError:  # the root's own check tells
        return
    try:
        health = history.check_history(name)
    except AirgapError as error:
        yield problem("memory", error.message, error.hint)
        return
    if health.trouble or health.kept is None:
        refusal = health.refusal()
        yield problem("memory", f"{refusal.message} {refusal.details[0]}", refusal.hint)
        return
    if not health.is_deeply_whole():
        yield problem(
            "memory",
            f"The state in {health.journal.folder} does not follow from the ledger beside it.",
            "Somebody has changed both: bring back the newest copy of the folder.",
        )
        return
    yield ok("memory", f"{name} remembers {health.entries} entries, head {health.head}.")
    for channel, one in sorted(health.kept.channels.items()):
        yield ok("memory", f"Imports of channel {channel} are at number {one.sequence}.")


def exports() -> Iterator[Finding]:
    """Read the last numbers that were given."""
    try:
        given = sequence.given()
    except AirgapError as error:
        yield problem("numbers", error.message, error.hint)
        return
    for one in given:
        yield ok("numbers", f"Exports of channel {one.channel} are at number {one.sequence}.")
