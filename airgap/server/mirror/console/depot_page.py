"""The first page: the bundles of the depot, and whether each is served. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from airgap.flow.serving.catalog import BundlePage, BundleView, CountedDemand, Survey
from airgap.flow.serving.index import ItemRow
from airgap.format.kinds import find_rules
from airgap.markup import Content, Html, element, escape, join, table, void
from airgap.printable import count_text, size_text
from airgap.server.mirror.console.frame import (
    NOTHING,
    TOP,
    Visit,
    badge,
    card,
    moment,
    name_keys,
    render_frame,
    short_id,
)

__all__ = ["KINDS", "choose_title", "describe_status", "render_demand", "render_depot"]

KINDS: Final = {
    "bento": "Bento",
    "model": "Model",
    "hugging-face": "HF model",
    "wheelhouse": "Wheels",
    "image": "Image",
    "files": "Files",
}
_FILTERS: Final = (
    ("all", "All"),
    ("served", "Served"),
    ("waits", "Waiting"),
    ("refused", "Not served"),
)
_COLUMNS: Final = ("Content", "Standing", "Signed by", "Approvals and scans", "Size", "Created")
_MOST_NAMED: Final = 4


def render_depot(  # noqa: PLR0913, PLR0917  (all that it shows)
    visit: Visit, location: str, page: BundlePage, survey: Survey, words: str, what: str
) -> str:
    """Return the page; ``words`` and ``what`` are what the visitor searched for."""
    lead = join(
        (f"{location}. Only what is marked ", element("strong", "served"), " can be pulled.")
    )
    return render_frame(
        visit,
        "",
        "Depot",
        lead,
        _render_tiles(survey),
        element("h2", "Bundles"),
        _render_search(words, what),
        _render_bundles(visit, page),
        _render_pages(page, words, what),
    )


def _render_tiles(survey: Survey) -> Html:
    statuses = survey.statuses
    total, served = sum(statuses.values()), statuses.get("served", 0)
    waiting = statuses.get("waits", 0)
    unread, refused = statuses.get("unread", 0), statuses.get("refused", 0)
    tiles = [
        (f"{served} of {total}", "bundles served"),
        (f"{waiting}", "wait for approvals or scans"),
        (f"{refused}", f"refused; {unread} not read yet" if unread else "refused"),
        (size_text(survey.size), f"served, in {count_text(survey.items, 'item')}"),
    ]
    items = [element("li", element("b", number), element("span", text)) for number, text in tiles]
    return element("ul", *items, class_="tiles")


def _render_search(words: str, what: str) -> Html:
    options = [
        element("option", name, value=value, selected="" if value == what else None)
        for value, name in _FILTERS
    ]
    return element(
        "form",
        element(
            "label",
            element("span", "Name, version or ID"),
            void("input", type="search", name="words", value=words, maxlength="200"),
        ),
        element("label", element("span", "Standing"), element("select", *options, name="what")),
        element("button", "Search"),
        method="get",
        action=f"{TOP}/",
        class_="search",
        role="search",
    )


def _render_bundles(visit: Visit, page: BundlePage) -> Html:
    if not page.bundles:
        return card(element("p", "No bundle fits.", class_="empty"))
    rows = [(None, _render_row(visit, bundle)) for bundle in page.bundles]
    return card(table("Bundles, the newest first", _COLUMNS, rows, class_="bundles"))


def _render_row(visit: Visit, bundle: BundleView) -> Sequence[Content]:
    return (
        _render_content(bundle),
        _render_standing(bundle),
        _render_builders(visit, bundle),
        join(
            (render_demand(one, visit.people) for one in bundle.signatures.requirements),
            element("br"),
        )
        or NOTHING,
        _render_size(bundle),
        moment(bundle.row.created_at) if bundle.row.created_at else NOTHING,
    )


def _render_content(bundle: BundleView) -> Html:
    title, rest = choose_title(bundle.items)
    name = title.tag if title else "It cannot be read"
    link = element("a", name, class_="tag", href=f"{TOP}/bundles/{bundle.row.bundle}")
    kind = element("span", KINDS.get(title.kind, title.kind), class_="kind") if title else ""
    lines: list[Content] = [
        join((KINDS.get(item.kind, item.kind), " ", item.tag)) for item in rest[:_MOST_NAMED]
    ]
    if len(rest) > _MOST_NAMED:
        lines.append(f"and {len(rest) - _MOST_NAMED} more")
    number = ""
    if bundle.facts is not None and bundle.facts.sequence:
        number = f"{bundle.facts.channel} no. {bundle.facts.sequence}"
    lines += [short_id(bundle.row.bundle), *([number] if number else [])]
    below = join(element("span", line, class_="sub line") for line in lines)
    return join((kind, link, below))


def choose_title(items: Sequence[ItemRow]) -> tuple[ItemRow | None, Sequence[ItemRow]]:
    """Return the item that stands for a bundle, a Bento if it has one, and the others."""
    ranked = sorted(items, key=lambda item: -find_rules(item.kind).rank)
    return (ranked[0], ranked[1:]) if ranked else (None, ())


def describe_status(bundle: BundleView) -> tuple[str, str]:
    """Return the standing of a bundle as ``badge`` takes it, and the reason; empty if served."""
    row = bundle.row
    if row.status == "served" and bundle.has_expired:
        return "expired", "It has expired."
    return row.status, row.reason


def _render_standing(bundle: BundleView) -> Html:
    status, reason = describe_status(bundle)
    return join((badge(status), element("span", reason, class_="why") if reason else ""))


def _render_builders(visit: Visit, bundle: BundleView) -> Html:
    signatures = bundle.signatures
    names = name_keys(signatures.builders, visit.people) if signatures.builders else escape(NOTHING)
    if signatures.are_counted or not signatures.builders:
        return names
    return join((names, element("span", "claimed, not verified", class_="sub line")))


def render_demand(demand: CountedDemand, people: Mapping[str, str]) -> Html:
    """Return how many of the keys that are needed have signed, and whose they are."""
    dots = [
        element("i", class_="on" if number < len(demand.signed) else None)
        for number in range(max(demand.threshold, len(demand.signed)))
    ]
    of = f" of {demand.threshold}" if demand.threshold else ""
    parts: list[Content] = [
        element("span", *dots, class_="dots", aria_hidden="true"),
        f"{len(demand.signed)}{of} ",
        element("span", f"{demand.role}, {demand.name}", class_="sub"),
    ]
    if demand.signed:
        parts.append(element("span", name_keys(demand.signed, people), class_="sub line"))
    return join(parts)


def _render_size(bundle: BundleView) -> Html:
    if bundle.facts is None:
        return escape(NOTHING)
    size, stored = bundle.facts.size, bundle.facts.stored_size
    return join(
        (size_text(size), element("span", f"{size_text(stored)} stored", class_="sub line"))
    )


def _render_pages(page: BundlePage, words: str, what: str) -> Html:
    """Link to the page before and after."""
    last = page.first + len(page.bundles)
    text = f"{page.first + 1 if page.bundles else 0} to {last} of {page.count:,}"
    links: list[Content] = [element("span", text)]
    for name, first, exists in (
        ("Newer", max(page.first - page.size, 0), page.first > 0),
        ("Older", last, last < page.count),
    ):
        if exists:
            query = urlencode({"words": words, "what": what, "first": first})
            links.append(element("a", name, href=f"{TOP}/?{query}"))
    return element("nav", *links, class_="pages", aria_label="Pages")
