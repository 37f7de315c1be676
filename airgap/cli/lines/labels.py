"""Lines for people about what a bundle's manifest says of it beside its items."""

from collections.abc import Mapping
from typing import Any

from airgap.cli.terminal import ClaimLine

__all__ = ["claim_lines", "join_words", "label_lines"]


def join_words(text: str) -> str:
    """Put a text on one line: each run of white space becomes one space."""
    return " ".join(text.split())


def label_lines(labels: Mapping[str, str]) -> list[str]:
    """Say which labels a bundle has (format §4.4), each in one line."""
    return [ClaimLine(f"label {name}: {value}") for name, value in sorted(labels.items())]


def claim_lines(bundle: Mapping[str, Any]) -> list[str]:
    """Say of a described bundle which labels it has, and which bundle it completes."""
    completed = bundle.get("completes")
    lines = label_lines(bundle.get("labels", {}))
    return [*lines, f"completes bundle {completed}"] if completed else lines
