"""Reset the import history after it was damaged or rolled back (format §17.7)."""

from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk.os_errors import translate_errors
from airgap.disk.sharing import make_own_folder
from airgap.errors import UsageError
from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.admission.policy import require_root
from airgap.flow.progress import Silent
from airgap.format.ledger import State

__all__ = ["ResetResult", "check_pinned_history", "reset_history"]


@dataclass(frozen=True, slots=True)
class ResetResult:
    """The folder that the old files were copied to, and the new state."""

    aside: Path
    state: State


def check_pinned_history() -> HistoryStatus:
    """Check the import history of the site whose root is pinned. Writes nothing.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        StorageError: a file cannot be read.
    """
    return history.check_history(require_root().value.site)


def reset_history(head: str) -> ResetResult:
    """Keep the intact entries, copy the old files aside, and record the reset.

    ``head`` is that of the ``HistoryStatus`` that a person has read; it must not have changed.

    Raises:
        UsageError: the head has changed, or the history is intact.
        StorageError: the disk refused. Then the reset can be tried again.
    """
    root = require_root().value
    folder = history.check_history(root.site).store.folder
    with translate_errors(folder):
        make_own_folder(folder)
    with history.lock_history(root.site, Silent()) as (writer, status):
        if status.fault is None:
            raise UsageError("The import history is intact.", "There is nothing to reset.")
        if status.head != head:
            raise UsageError(
                f"The ledger's head is {status.head}, not {head}.",
                "Run `airgap trust reset-state` without --yes, read it, and give that head.",
            )
        entry = history.make_root_entry(root, "reset")
        entry = replace(entry, note=history.clip_note(status.fault.message))
        with translate_errors(folder):
            return ResetResult(*writer.reset(history.stamp_entry(entry, status.state)))
