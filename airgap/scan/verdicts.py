"""The verdicts of the gate: what each says, and how those of the parts of a file are joined."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "NUMBERS",
    "Judgment",
    "Unreadable",
    "Verdict",
    "Weights",
    "code",
    "inert",
    "join",
    "refused",
]

Verdict = Literal["inert", "code", "refused"]
NUMBERS: Final = "numbers"
"""The form of a file that has no other one: it may be the weights of a model beside it."""
_ORDER: Final[tuple[Verdict, ...]] = ("inert", "code", "refused")
_MOST_REASONS: Final = 20


class Unreadable(Exception):  # noqa: N818 -- it ends in a judgment
    """The content contradicts its form, or exceeds a limit; the text says how, in a few words."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Numbers that a model has in another file: its path from the model's folder, and their end."""

    path: str
    end: int


@dataclass(frozen=True, slots=True)
class Judgment:
    """What the gate says of a file, or of a part of one.

    ``form`` is what the content is (`safetensors`, `pickle`); ``reasons`` say why the verdict is
    not a better one, each in at most one line, with the part of the file that it is about.
    """

    verdict: Verdict
    form: str
    reasons: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = ()

    def within(self, part: str) -> "Judgment":
        """Return the same judgment of a part of another file; its reasons name the part."""
        return Judgment(self.verdict, self.form, tuple(f"{part}: {why}" for why in self.reasons))


def inert(form: str) -> Judgment:
    """Return a judgment that the form was checked to its end, and has no code in it."""
    return Judgment("inert", form)


def code(form: str, why: str) -> Judgment:
    """Return a judgment that the file is a program, or holds one, as its form intends."""
    return Judgment("code", form, (why,))


def refused(form: str, why: str) -> Judgment:
    """Return a judgment that the file asks for too much, or was not understood."""
    return Judgment("refused", form, (why,))


def join(form: str, parts: Iterable[Judgment]) -> Judgment:
    """Return the worst verdict of the parts of a file, with the reasons of all of them."""
    verdict: Verdict = "inert"
    reasons: list[str] = []
    for part in parts:
        verdict = max(verdict, part.verdict, key=_ORDER.index)
        reasons.extend(part.reasons)
    if len(reasons) > _MOST_REASONS:
        reasons[_MOST_REASONS:] = [f"and {len(reasons) - _MOST_REASONS:,} more"]
    return Judgment(verdict, form, tuple(reasons))
