"""Lines for people about what a bundle's manifest says of it beside its items."""

from collections.abc import Mapping
from typing import Any, Final

from airgap.printable import fit_line

__all__ = ["COLUMNS", "claim_lines", "label_lines"]

COLUMNS: Final = 78
"""How wide a line is that may be indented by two columns, on a terminal of 80."""


def label_lines(labels: Mapping[str, str]) -> list[str]:
    """Say which labels a bundle has (format §4.4), each in one line."""
    return [fit_line(f"label {name}: {value}", COLUMNS) for name, value in sorted(labels.items())]


def claim_lines(bundle: Mapping[str, Any]) -> list[str]:
    """Say of a described bundle which labels it has, and which bundle it completes."""
    completed = bundle.get("completes")
    lines = label_lines(bundle.get("labels", {}))
    return [*lines, f"completes bundle {completed}"] if completed else lines
