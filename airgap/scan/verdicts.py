"""The verdicts of a scan: what each says, and how those of the parts of a file are joined."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Assessment", "Verdict", "inert", "join", "program", "refused"]

Verdict = Literal["inert", "listed", "program", "refused"]
_ORDER: Final[tuple[Verdict, ...]] = ("inert", "listed", "program", "refused")
_MOST_REASONS: Final = 20


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found in a file or in a part of it.

    ``form`` is what the content is (`safetensors`, `pickle`); ``reasons`` say why the verdict is
    not a better one, each in at most one line, with the part of the file that it is about.
    ``weights`` are other files that hold its numbers, as paths from its own folder.
    """

    verdict: Verdict
    form: str
    reasons: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    def within(self, part: str) -> "Assessment":
        """Return the same assessment about a part of another file; its reasons name the part."""
        return Assessment(self.verdict, self.form, tuple(f"{part}: {why}" for why in self.reasons))


def inert(form: str) -> Assessment:
    """Return an assessment that nothing of the file is run by what reads it in this form."""
    return Assessment("inert", form)


def program(form: str, why: str) -> Assessment:
    """Return an assessment that the file is a program, or holds one, as its form intends."""
    return Assessment("program", form, (why,))


def refused(form: str, why: str) -> Assessment:
    """Return an assessment that the file asks for too much, or that nobody knows what it does."""
    return Assessment("refused", form, (why,))


def join(form: str, parts: Iterable[Assessment]) -> Assessment:
    """Return the worst verdict of the parts of a file, with the reasons of all of them."""
    verdict: Verdict = "inert"
    reasons: list[str] = []
    for part in parts:
        verdict = max(verdict, part.verdict, key=_ORDER.index)
        reasons.extend(part.reasons)
    if len(reasons) > _MOST_REASONS:
        reasons[_MOST_REASONS:] = [f"and {len(reasons) - _MOST_REASONS:,} more"]
    return Assessment(verdict, form, tuple(reasons))
