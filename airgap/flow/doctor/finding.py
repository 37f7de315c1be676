"""Findings of `airgap doctor`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level", "note", "ok", "problem"]

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about the state of something, and a hint where there is something to do.

    A note needs no action for airgap to work; a problem does. ``about`` names the topic.
    """

    level: Level
    about: str
    message: str
    hint: str = ""


def ok(subject: str, message: str) -> Finding:
    """Make a finding that something is in order."""
    return Finding("ok", subject, message)


def note(subject: str, message: str, hint: str) -> Finding:
    """Make a finding that needs no action."""
    return Finding("note", subject, message, hint)


def problem(subject: str, message: str, hint: str) -> Finding:
    """Make a finding that must be fixed."""
    return Finding("problem", subject, message, hint)
