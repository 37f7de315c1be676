"""The page that compares two bundles: items, files, tensors, and what they cost to carry. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from airgap.flow.serving.catalog import BundlePage, BundleView
from airgap.markup import Content, Html, element
from airgap.printable import list_some, series_text, size_text
from airgap.server.mirror.console.depot_page import choose_title
from airgap.server.mirror.console.frame import TOP, Visit, card, render_frame

__all__ = ["render_compare"]

_MOST_ENTRIES: Final = 200
_PARTS: Final = 8
_CHANGES: Final = {"added": "new", "removed": "gone", "changed": "changed"}


def render_compare(
    visit: Visit,
    choices: BundlePage,
    pair: tuple[str, str],
    difference: Mapping[str, Any] | None,
) -> str:
    """Return the page; ``pair`` are the ids that the visitor chose, the older one first."""
    lead = "What a newer bundle has that an older one has not. Neither is verified for that."
    return render_frame(
        visit,
        "/compare",
        "Compare",
        lead,
        _render_form(choices.bundles, pair),
        *_say_more(choices),
        *(_render_difference(difference) if difference is not None else ()),
    )


def _say_more(choices: BundlePage) -> Iterable[Html]:
    """Say that not all bundles can be chosen, and how the others are compared."""
    left = choices.count - len(choices.bundles)
    if left > 0:
        text = (
            f"The newest {len(choices.bundles)} can be chosen. For the other {left:,}, put their"
            " ids into the address, as old= and new=."
        )
        yield element("p", text, class_="empty")


def _render_form(choices: Sequence[BundleView], pair: tuple[str, str]) -> Html:
    names = {bundle.row.bundle: _name(bundle) for bundle in choices}
    names |= {bundle: bundle for bundle in pair if bundle and bundle not in names}
    fields = [
        element(
            "label",
            element("span", label),
            element(
                "select",
                *(
                    element("option", text, value=value, selected="" if value == chosen else None)
                    for value, text in names.items()
                ),
                name=name,
            ),
        )
        for label, name, chosen in (("From", "old", pair[0]), ("To", "new", pair[1]))
    ]
    return element(
        "form",
        *fields,
        element("button", "Compare"),
        method="get",
        action=f"{TOP}/compare",
        class_="search",
    )


def _name(bundle: BundleView) -> str:
    title, _ = choose_title(bundle.items)
    return f"{title.tag if title else 'unreadable'} · {bundle.row.bundle[:12]}"


def _render_difference(difference: Mapping[str, Any]) -> Iterable[Html]:
    to_carry = size_text(difference["bytes_to_ship"])
    stored = size_text(difference["bytes_stored"])
    yield element("h2", "To carry")
    yield element("p", element("strong", to_carry), f" are new; they take {stored} in the packs.")
    for title, mark, name in (
        ("New", "+", "added"),
        ("Gone", "-", "removed"),
        ("Same", "=", "same"),
    ):
        if difference[name]:
            lines = [element("li", f"{mark} {one}") for one in difference[name]]
            yield element("h2", title)
            yield card(element("ul", *lines, class_="lines"))
    if difference["changed"]:
        yield element("h2", "Changed")
    for change in difference["changed"]:
        yield card(*_render_change(change), class_="card item")


def _render_change(change: Mapping[str, Any]) -> Iterable[Content]:
    before = "" if change["before"] == change["item"] else f" (was {change['before']})"
    yield element("h3", f"{change['item']}{before}")
    entries = [_render_entry(entry) for entry in change["entries"][:_MOST_ENTRIES]]
    if len(change["entries"]) > _MOST_ENTRIES:
        entries.append(element("li", f"and {len(change['entries']) - _MOST_ENTRIES:,} more"))
    yield element("ul", *entries, class_="lines")


def _render_entry(entry: Mapping[str, Any]) -> Html:
    cost = f", {size_text(entry['bytes_stored'])} stored" if "bytes_stored" in entry else ""
    parts = [
        f"{_CHANGES[name]}: {series_text(entry[f'parts_{name}'], _PARTS)}"
        for name in _CHANGES
        if entry.get(f"parts_{name}")
    ]
    below = [element("span", part, class_="sub line") for part in list_some(parts)]
    kind = element("span", _CHANGES[entry["change"]], class_="kind")
    return element("li", kind, entry["path"], element("span", cost, class_="sub"), *below)
