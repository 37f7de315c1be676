"""What the sections of a report's page share: links to what proves a claim, and rows. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from airgap.markup import Content, Html, element, escape, join, table

__all__ = [
    "SECTIONS",
    "Report",
    "keep_whole",
    "link_bundle",
    "link_evidence",
    "link_key",
    "show_alert",
    "show_code",
    "show_lines",
    "show_note",
    "show_time",
    "table_or_none",
]

Report = Mapping[str, Any]
"""A report as plain data, or a part of it (format §38.3)."""
SECTIONS: Final[Mapping[str, str]] = {
    "exceptions": "Exceptions",
    "moved": "What moved",
    "people": "Who",
    "times": "When",
    "media": "By which medium",
    "rules": "Verified how",
    "ledgers": "Ledgers",
    "roots": "Chain of roots",
    "controls": "Controls",
    "not-shown": "What this does not show",
    "evidence": "Evidence",
}
"""The title of each section by its anchor, in the order of the page."""
_SHORT: Final = 12
_KEY_DIGITS: Final = 16


def link_evidence(numbers: Sequence[int]) -> Html:
    """Return links to pieces of evidence; a link names the number that it leads to."""
    links = [
        element("a", f"[{number}]", href=f"#e-{number}")
        for number in dict.fromkeys(numbers)
        if number
    ]
    return element("span", join(links, " "), class_="refs") if links else Html("")


def link_bundle(bundle: str) -> Html:
    """Return the first digits of a bundle id, which lead to the whole of it."""
    digits = element("code", bundle[:_SHORT], class_="id")
    return element("a", digits, href=f"#b-{bundle}")


def link_key(key_id: str, people: Collection[str]) -> Html:
    """Return the first digits of a key id, which lead to whose it is, if a root names it."""
    digits = element("code", key_id[:_KEY_DIGITS] or "—", class_="id")
    return element("a", digits, href=f"#k-{key_id}") if key_id in people else digits


def show_time(at: str | None) -> Html:
    """Return a time, which is never broken in two; a dash for none."""
    return escape("—") if at is None else element("time", at, datetime=at)


def show_code(text: str) -> Html:
    """Return a text as code: an id, a digest, a path."""
    return element("code", text)


def show_alert(text: str) -> Html:
    """Return a text that a reader must not pass over, with a mark."""
    return element("span", f"▲ {text}", class_="alert")


def show_note(text: str | None) -> Html:
    """Return a text in the words of others; nothing for none."""
    return Html("") if not text else element("blockquote", element("bdi", text), class_="note")


def show_lines(texts: Iterable[Content]) -> Html:
    """Return lines below each other; a dash if there is none."""
    items = [element("li", text) for text in texts]
    return element("ul", *items, class_="plain") if items else escape("—")


def keep_whole(texts: Sequence[str]) -> Html:
    """Return texts that a line may be broken between, and not within."""
    return join((element("span", text, class_="keep") for text in texts), ", ") or escape("—")


def table_or_none(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str | None, Sequence[Content]]],
    class_: str | None = None,
) -> Html:
    """Return a table; without rows, that there is none."""
    return table(caption, columns, rows, class_) if rows else element("p", "None.")
