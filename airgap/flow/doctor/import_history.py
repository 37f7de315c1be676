"""The import history of this machine, and the sequence numbers of its exports."""

from collections.abc import Iterator

from airgap.errors import AirgapError
from airgap.flow.admission import history, policy
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.doctor.finding import Finding, note, ok, problem
from airgap.flow.exporting import sequence
from airgap.format.ledger import IMPORTS
from airgap.printable import count_text
from airgap.state import pinned_root
from airgap.store import health
from airgap.store.kinds import list_kinds

__all__ = ["check_export_ledgers", "check_exports", "check_imports"]


def check_imports() -> Iterator[Finding]:
    """Check the ledger, down to every entry."""
    try:
        if pinned_root.load_root() is None:
            return
        name = policy.require_root().value.site
    except AirgapError:  # reported by the check of the root
        return
    try:
        status = history.check_history(name)
    except AirgapError as error:
        yield problem("history", error.message, error.hint)
        return
    if status.fault or status.state is None:
        refusal = status.make_error()
        yield problem("history", f"{refusal.message} {refusal.details[0]}", refusal.hint)
        return
    if not status.matches_entries():
        yield problem(
            "history",
            f"The state in {status.store.folder} does not follow from the ledger beside it.",
            "Both were changed: restore the newest copy of the folder.",
        )
        return
    entries = count_text(status.entries, "entry", "entries")
    yield ok(
        "history",
        f"The import history of site {name} is intact: {entries}, head {status.head}.",
    )
    for channel, last in sorted(status.state.channels.items()):
        yield ok("history", f"Imports of channel {channel} are at number {last.sequence}.")
    yield from _find_interrupted(status)


def _find_interrupted(status: HistoryStatus) -> Iterator[Finding]:
    """Report the last import if it is in the ledger and did not end (format §17.3)."""
    if status.state is None:
        return
    last = status.store.read_last(status.state)
    if last.bundle is None:
        return
    left = [
        leftover
        for store in {kind.store() for kind in list_kinds()}
        for leftover in health.list_leftovers(store)
        if leftover.name == last.bundle.hex() and leftover.work == "import"
    ]
    if last.event == "incomplete" or (last.event in IMPORTS and left):
        reason = f": {last.note}" if last.event == "incomplete" else "."
        yield note(
            "history",
            f"The import of bundle {last.bundle.hex()} is in the ledger, but ended before all items"
            f" were in place{reason}",
            "Run the same import again: it finishes it. Older bundles of its channel stay refused.",
        )


def check_exports() -> Iterator[Finding]:
    """Read the last sequence number of each channel that this machine exports to."""
    try:
        numbers = sequence.list_issued_sequences()
    except AirgapError as error:
        yield problem("numbers", error.message, error.hint)
        return
    for number in numbers:
        yield ok("numbers", f"Exports of channel {number.channel} are at number {number.sequence}.")


def check_export_ledgers() -> Iterator[Finding]:
    """Check the ledgers of what was exported, signed and approved here, down to every entry."""
    for name in history.list_export_ledgers():
        try:
            status = history.check_history(name, "exporting")
        except AirgapError as error:
            yield problem("exports", error.message, error.hint)
            continue
        if status.fault or status.state is None:
            refusal = status.make_error()
            yield problem("exports", f"{refusal.message} {refusal.details[0]}", refusal.hint)
            continue
        entries = count_text(status.entries, "entry", "entries")
        yield ok(
            "exports",
            f"The ledger of exports for site {name} is intact: {entries}, head {status.head}.",
        )
