"""Reset a ledger after it was damaged or rolled back: another one begins (format §17.7)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import translate_errors
from airgap.disk.sharing import make_own_folder
from airgap.errors import UsageError
from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus, Side
from airgap.flow.admission.policy import require_root
from airgap.flow.progress import Silent
from airgap.format.ledger import Entry, State

__all__ = ["ResetResult", "check_exports", "check_pinned_history", "reset_history"]

IMPORTING: Final[Side] = "importing"
EXPORTING: Final[Side] = "exporting"


@dataclass(frozen=True, slots=True)
class ResetResult:
    """The folder that the old files were copied to, and the new state.

    ``kept`` is how many entries of the old ledger were intact.
    """

    aside: Path
    state: State
    kept: int


def check_pinned_history() -> HistoryStatus:
    """Check the import history of the site whose root is pinned. Writes nothing.

    Raises:
        ConfigurationError: this machine trusts nobody yet.
        StorageError: a file cannot be read.
    """
    return history.check_history(require_root().value.site)


def check_exports(site: str) -> HistoryStatus:
    """Check the ledger of what was exported for a site. Writes nothing.

    Raises:
        StorageError: a file cannot be read.
    """
    return history.check_history(site, "exporting")


def reset_history(head: str, exports: str | None = None, reason: str = "") -> ResetResult:
    """Copy the old files aside, and begin another ledger that names the one before.

    ``head`` is that of the ``HistoryStatus`` that a person has read; it must not have changed.
    ``exports`` is the site whose ledger of exports is reset; None: the history of imports is.
    ``reason`` is a person's, and is needed if the history is intact.

    Raises:
        UsageError: the head has changed, or the history is intact and no reason is given.
        StorageError: the disk refused. Then the reset can be tried again.
    """
    if exports is None:
        root = require_root().value
        site, side = root.site, IMPORTING
        entry = history.make_root_entry(root, "reset")
    else:
        site, side = exports, EXPORTING
        entry = Entry(site, "reset", at=0, floor=0, root=0, previous=b"")
    folder = history.check_history(site, side).store.folder
    with translate_errors(folder):
        make_own_folder(folder)
    with history.lock_history(site, Silent(), side) as (writer, status):
        if status.fault is None and not reason:
            raise UsageError(
                "The import history is intact.",
                "If another machine has seen more of it, say so with --reason.",
            )
        if status.head != head:
            raise UsageError(
                f"The ledger's head is {status.head}, not {head}.",
                "Run `airgap trust reset-state` without --yes, read it, and give that head.",
            )
        fault = status.fault.message if status.fault else ""
        entry = replace(entry, note=history.clip_note(f"{reason} {fault}".strip()))
        with translate_errors(folder):
            aside, state = writer.reset(history.stamp_entry(entry, status.state))
            return ResetResult(aside, state, status.entries)
