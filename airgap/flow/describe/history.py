"""The import history of a site as plain data (format §17)."""

from typing import Any

from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.describe.times import format_time
from airgap.format.root import Root

__all__ = ["describe_history"]


def describe_history(status: HistoryStatus, root: Root) -> dict[str, Any]:
    """Describe the import history of this machine. Times as RFC 3339; digests in hex."""
    kept, trouble = status.kept, status.trouble
    channels = kept.channels if kept else {}
    return {
        "whole": trouble is None,
        "trouble": {"kind": trouble.kind, "message": trouble.what} if trouble else None,
        "folder": str(status.journal.folder),
        "entries": status.entries,
        "head": status.head,
        "time_floor": format_time(history.compute_time_floor(kept, root)),
        "channels": {
            name: {"sequence": mark.sequence, "bundle": mark.bundle.hex(), "root": mark.root}
            for name, mark in sorted(channels.items())
        },
    }
