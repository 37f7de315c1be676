"""Lines for people about a site's import history (format §17)."""

from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus
from airgap.format.root import Root
from airgap.printable import count_text
from airgap.times import format_time

__all__ = ["history_lines", "loss_lines"]


def history_lines(status: HistoryStatus, root: Root) -> list[str]:
    """Write the import history of a site for people."""
    entries = count_text(status.entries, "entry", "entries")
    lines = [
        f"import history: {entries}, head",
        f"  {status.head}",
        f"  in {status.store.folder}",
        f"time floor {format_time(history.compute_time_floor(status.state, root))}",
    ]
    for channel, last in sorted(status.state.channels.items()) if status.state else ():
        lines.append(f"channel {channel}: number {last.sequence}, bundle")
        lines.append(f"  {last.bundle.hex()}")
    if status.fault:
        lines.append(f"NOT INTACT ({status.fault.kind}): {status.fault.message}")
    return lines


def loss_lines(status: HistoryStatus) -> list[str]:
    """Write for people what a reset loses."""
    entries = count_text(status.entries, "entry", "entries")
    verb = "is" if status.entries == 1 else "are"
    kept = f"The {entries} above {verb} put aside, and the numbers in them are carried over"
    kept = kept if status.entries else "Nothing is carried over"
    if status.fault and status.fault.kind == "another":
        return [
            f"{kept}. What only the other ledger has is unknown here: old bundles count as new.",
            f"If {status.fault.other} is still used, set AIRGAP_HOME to it: then nothing is lost.",
            "After the reset, imports with that folder are refused here.",
            "Without a terminal:",
            f"  airgap trust reset-state --yes {status.head}",
        ]
    return [
        f"{kept}. Later imports are forgotten: their bundles would be accepted as new.",
        "If there is a newer copy of the folder, restore it instead: then nothing is lost.",
        "If not, only the root can refuse old bundles: see `airgap root set-min-sequence`.",
        f"Without a terminal: the same command with --yes {status.head}"
        if status.fault is None
        else f"Without a terminal: airgap trust reset-state --yes {status.head}",
    ]
