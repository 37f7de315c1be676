"""The page that says how the mirror is, and who may ask it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airgap.flow.serving.index import Status
from airgap.markup import Content, element, table
from airgap.printable import count_text, size_text
from airgap.server.mirror.console.frame import Visit, card, facts, moment, render_frame

__all__ = ["MirrorHealth", "render_health"]

_COLUMNS: Final = ("Name", "May", "Until")


@dataclass(frozen=True, slots=True)
class MirrorHealth:
    """What there is to say. Times in seconds since 1970; ``free`` in bytes, None if not known.

    ``tokens`` are name, scope and end; None where the mirror asks for none.
    """

    location: str
    problem: str
    statuses: Mapping[Status, int]
    root_ends: int | None
    free: int | None
    tokens: Sequence[tuple[str, str, int | None]] | None


def render_health(visit: Visit, status: MirrorHealth) -> str:
    """Return the page."""
    standing = status.problem or "It answers, and has examined the depot."
    bundles = sum(status.statuses.values())
    served = status.statuses.get("served", 0)
    pairs: list[tuple[str, Content]] = [
        ("Mirror", standing),
        ("Depot", status.location),
        ("Bundles", f"{served:,} of {bundles:,} served"),
        ("Root", "it never expires" if status.root_ends is None else _until(status.root_ends)),
        ("Disk", "" if status.free is None else f"{size_text(status.free)} free at the depot"),
    ]
    body: list[Content] = [card(facts(pairs))]
    if status.tokens is not None:
        count = count_text(len(status.tokens), "token")
        rows = [
            (None, (name, scope, "no end" if end is None else moment(end)))
            for name, scope, end in status.tokens
        ]
        listed = card(table("Tokens", _COLUMNS, rows)) if rows else element("p", "There is none.")
        body += [element("h2", f"Tokens: {count}"), listed]
    return render_frame(visit, "/health", "Health", "How the mirror is.", *body)


def _until(seconds: int) -> Content:
    return element("span", "it expires ", moment(seconds))
