"""Lines for people about a site's import history (format §17)."""

from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.flow.describe.times import format_time
from airgap.format.root import Root

__all__ = ["history_lines", "loss_lines"]


def history_lines(status: HistoryStatus, root: Root) -> list[str]:
    """Say for people what a site remembers of its imports."""
    lines = [
        f"remembers {status.entries} entries, head {status.head}",
        f"  in {status.store.folder}",
        f"time floor {format_time(history.compute_time_floor(status.state, root))}",
    ]
    for name, mark in sorted(status.state.channels.items()) if status.state else ():
        lines.append(f"channel {name}: has number {mark.sequence}, bundle {mark.bundle.hex()}")
    if status.fault:
        lines.append(f"NOT WHOLE ({status.fault.kind}): {status.fault.message}")
    return lines


def loss_lines(status: HistoryStatus) -> list[str]:
    """Say for people what a reset would lose."""
    kept = f"The {status.entries} entries above are kept" if status.entries else "Nothing is kept"
    return [
        f"{kept}. What was imported after them is forgotten: its bundles would be taken for new.",
        "If there is a newer copy of the folder, bring it back instead: then nothing is lost.",
        "If not, old bundles are kept out by the root alone: see `airgap root set-min-sequence`.",
        f"Without a terminal: airgap trust reset-state --yes {status.head}",
    ]
