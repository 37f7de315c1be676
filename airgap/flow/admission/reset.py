"""Beginning anew where what a site remembers is not whole (format §17.7). Nothing is guessed."""

from dataclasses import dataclass, replace
from pathlib import Path

from airgap.disk import durable
from airgap.disk.os_errors import translate_errors
from airgap.errors import UsageError
from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.admission.policy import require_root
from airgap.flow.progress import Silent
from airgap.format.ledger import State

__all__ = ["ResetResult", "check_pinned_history", "reset_history"]


@dataclass(frozen=True, slots=True)
class ResetResult:
    """What follows from what was kept, and where the old files are now."""

    aside: Path
    state: State


def check_pinned_history() -> HistoryStatus:
    """Examine what this machine remembers of the site it trusts. Writes nothing.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        StorageError: a file cannot be read.
    """
    return history.check_history(require_root().value.site)


def reset_history(head: str) -> ResetResult:
    """Keep what is whole, put the rest aside, and remember that.

    ``head`` is that of the ``Health`` that somebody has read: it must still be so.

    Raises:
        UsageError: it is not, or everything is whole.
        StorageError: the disk refused. Then it can be tried again.
    """
    root = require_root().value
    folder = history.check_history(root.site).journal.folder
    with translate_errors(folder):
        durable.make_folder(folder, 0o700)
    with history.lock_history(root.site, Silent()) as (desk, health):
        if health.trouble is None:
            raise UsageError("What this machine remembers is whole.", "There is nothing to reset.")
        if health.head != head:
            raise UsageError(
                f"The ledger's head is {health.head}, not {head}.",
                "Run `airgap trust reset-state` without --yes, read it, and give that head.",
            )
        said = history.make_root_entry(root, "reset")
        said = replace(said, note=history.clip_note(health.trouble.what))
        with translate_errors(folder):
            return ResetResult(*desk.begin_anew(history.stamp_entry(said, health.kept)))
