"""The sections of a report's page about bundles: what is wrong, what moved, when and how. Pure."""

from collections.abc import Iterator
from typing import Final

from airgap.flow.audit.exceptions import CONTRADICTIONS, KINDS
from airgap.flow.audit.page_parts import (
    Report,
    keep_whole,
    link_bundle,
    link_evidence,
    show_code,
    show_lines,
    show_note,
    show_time,
    table_or_none,
)
from airgap.markup import Content, Html, element, escape, join, table, void
from airgap.printable import count_text, size_text

__all__ = ["render_exceptions", "render_media", "render_moved", "render_times"]

_OUTCOMES: Final = {
    "imported": "imported",
    "waived": "▲ imported by a waiver",
    "refused": "▲ refused",
    "exported": "exported",
    "deleted": "deleted from a depot",
    "seen": "lies in a location",
}
_PARTNERS: Final = {
    "joined": "joined by a receipt",
    "confirmed": "confirmed by a receipt",
    "no receipt": "▲ no receipt joins the two sides",
    "not imported": "▲ not in a ledger of imports",
    "not exported": "▲ not in a ledger of exports",
    "one side": "the other side was not shown",
}


def render_exceptions(report: Report) -> Iterator[Content]:
    """Yield what an auditor looks at first, by kind."""
    found = report["exceptions"]
    if not found:
        yield element("p", "● None.")
        return
    counts = {kind: report["verdict"]["kinds"].get(kind, 0) for kind in KINDS}
    kinds = [
        element("li", element("a", f"{KINDS[kind]} ({count:,})", href=f"#x-{kind}"))
        for kind, count in counts.items()
        if count
    ]
    yield element("ul", *kinds, class_="list-of-exceptions")
    for kind in filter(counts.__getitem__, KINDS):
        count = counts[kind]
        mark = "■" if kind in CONTRADICTIONS else "▲"
        yield element("h3", f"{mark} {KINDS[kind]} ({count:,})", id=f"x-{kind}")
        rows = [
            (
                None,
                [
                    link_bundle(one["bundle"]) if one["bundle"] else one["ledger"] or "—",
                    join([one["statement"], show_note(one["note"])]),
                    show_time(one["at"]),
                    link_evidence(one["evidence"]),
                ],
            )
            for one in found
            if one["kind"] == kind
        ]
        columns = ["About", "What", "Claimed time", "Evidence"]
        yield table(KINDS[kind], columns, rows, "hidden-caption cols-exceptions")


def render_moved(report: Report) -> Iterator[Content]:
    """Yield each bundle, and what became of it."""
    yield element(
        "p",
        "Each bundle that a ledger, a receipt or a location names, by when it is first heard of. Of"
        " two ledgers, a receipt that both name joins the rows; a row without a partner is marked.",
    )
    rows = [
        (
            f"b-{one['bundle']}",
            [
                join([show_code(one["bundle"]), _note_labels(one)]),
                _number(one),
                _items(one),
                element(
                    "strong" if "▲" in _OUTCOMES[one["outcome"]] else "span",
                    _OUTCOMES[one["outcome"]],
                ),
                _partner(one["partner"]),
                link_evidence(_collect(one)),
            ],
        )
        for one in report["moved"]
    ]
    columns = ["Bundle id", "Channel, number", "Items", "Outcome", "Two sides", "Evidence"]
    yield table_or_none("Bundles", columns, rows, "cols-moved")


def _note_labels(movement: Report) -> Html:
    if not movement["labels"]:
        return Html("")
    labels = ", ".join(f"{name}: {value}" for name, value in sorted(movement["labels"].items()))
    return join([void("br"), element("span", element("bdi", labels), class_="soft")])


def _number(movement: Report) -> str:
    channel = movement["channel"]
    return "—" if channel is None else f"{channel} {movement['sequence']:,}"


def _items(movement: Report) -> Html:
    """Return the items of a bundle with sizes, digests and licences, as far as they were read."""
    seal = movement["sealed"]
    if seal and not seal["opened"]:
        return escape(f"sealed {_seal(seal['recipients'], is_opened=False)}")
    if movement["items"] is None:
        return escape("not read")
    return element("ul", *map(_item, movement["items"]), class_="plain")


def _item(item: Report) -> Html:
    parts: list[Content] = [f"{item['kind']} {item['tag']}"]
    if item["size"] is not None:
        parts.append(f" ({size_text(item['size'])}, {count_text(item['files'], 'file')})")
    parts += [void("br"), element("span", show_code(item["digest"]), class_="soft")]
    if item["licences"] is not None:
        named = ", ".join(item["licences"]) or "none named"
        parts += [void("br"), f"licence: {named}"]
    return element("li", *parts)


def _partner(partner: str) -> Html:
    text = _PARTNERS[partner]
    return element("span", text, class_="alert" if text.startswith("▲") else None)


def _collect(movement: Report) -> list[int]:
    """Return all evidence of a row: the manifest, its entries, its receipts."""
    rows = [movement, *movement["entries"], *movement["receipts"]]
    return [number for row in rows for number in row["evidence"]]


def render_times(report: Report) -> Iterator[Content]:
    """Yield three kinds of time for each bundle."""
    yield element(
        "p",
        "Three kinds of time, which are never made one. A claimed time is what a clock of the site"
        " said. A stamped time is by when an authority had seen the builders' signatures. An index"
        " is the order in a ledger, which nobody can change once a checkpoint is out.",
    )
    rows = [
        (
            None,
            [
                link_bundle(one["bundle"]),
                show_lines(
                    join([f"{claim['what']} ", show_time(claim["at"])]) for claim in one["claimed"]
                ),
                show_time(one["stamped"]),
                keep_whole(one["index"]),
                link_evidence(one["evidence"]),
            ],
        )
        for one in report["times"]
    ]
    columns = ["Bundle", "Claimed time", "Stamped time", "Ledger index", "Evidence"]
    yield table_or_none("Times", columns, rows, "cols-times")


def render_media(report: Report) -> Iterator[Content]:
    """Yield by which medium each bundle came."""
    rows = [
        (
            None,
            [
                link_bundle(one["bundle"]),
                f"{one['form']} {one['source']}",
                one["volumes"] or "—",
                f"{size_text(one['stored_size'])} in {count_text(one['packs'], 'pack')}",
                "no"
                if one["sealed_to"] is None
                else _seal(one["sealed_to"], is_opened=one["opened"]),
                link_evidence(one["evidence"]),
            ],
        )
        for one in report["media"]
        if one["source"] is not None
    ]
    missing = len(report["media"]) - len(rows)
    columns = ["Bundle", "Location that was read", "Volumes", "Stored", "Sealed", "Evidence"]
    yield table_or_none("Media", columns, rows)
    if missing:
        yield element(
            "p",
            f"Of {count_text(missing, 'bundle')}, no location was read: by which medium they came,"
            " no ledger records.",
        )


def _seal(recipients: int, *, is_opened: bool) -> str:
    """Say to how many a bundle is sealed, and whether somebody looked into it."""
    looked = "opened for this report" if is_opened else "not looked into"
    return f"to {count_text(recipients, 'recipient')}; {looked}"
