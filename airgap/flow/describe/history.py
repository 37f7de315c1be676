"""The import history of a site as plain data (format §17)."""

from typing import Any

from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.format.root import Root
from airgap.times import format_time

__all__ = ["describe_history"]


def describe_history(status: HistoryStatus, root: Root) -> dict[str, Any]:
    """Describe the import history of this machine. Times as RFC 3339; digests in hex."""
    state, fault = status.state, status.fault
    channels = state.channels if state else {}
    return {
        "intact": fault is None,
        "fault": {"kind": fault.kind, "message": fault.message} if fault else None,
        "folder": str(status.store.folder),
        "entries": status.entries,
        "head": status.head,
        "time_floor": format_time(history.compute_time_floor(state, root)),
        "channels": {
            name: {"sequence": mark.sequence, "bundle": mark.bundle.hex(), "root": mark.root}
            for name, mark in sorted(channels.items())
        },
    }
