"""What the doctor says about one thing."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level", "note", "ok", "problem"]

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of what is so, and one of what to do where something is to be done.

    A note needs no action for airgap to work; a problem does.
    """

    level: Level
    about: str
    message: str
    hint: str = ""


def ok(about: str, message: str) -> Finding:
    """Say that something is as it should be."""
    return Finding("ok", about, message)


def note(about: str, message: str, hint: str) -> Finding:
    """Say something that people should know."""
    return Finding("note", about, message, hint)


def problem(about: str, message: str, hint: str) -> Finding:
    """Say that something must be mended."""
    return Finding("problem", about, message, hint)
