"""The page of the ledger of imports of this machine: what happened to bundles of the site. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from airgap.markup import Content, Html, element, join, table, void
from airgap.printable import count_text
from airgap.server.mirror.console.frame import (
    NOTHING,
    TOP,
    Visit,
    card,
    facts,
    name_keys,
    render_frame,
    short_id,
)

__all__ = ["ENTRIES", "render_ledger", "write_csv"]

ENTRIES: Final = 200
"""How many entries the page shows."""
_COLUMNS: Final = ("No.", "Time", "Event", "Bundle", "Signed by", "Note")
_FIELDS: Final = ("number", "at", "event", "bundle", "channel", "sequence", "root_version", "note")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def render_ledger(visit: Visit, log: Mapping[str, Any], tag: str) -> str:
    """Return the page; ``log`` is as ``describe_log`` has it, ``tag`` what was searched for."""
    fault = log["fault"]
    intact: Content = "It is intact."
    if fault is not None:
        intact = element("strong", f"It is not intact ({fault['kind']}): {fault['message']}")
    query = urlencode({"tag": tag}) if tag else ""
    more = element("a", "All as CSV", href=f"{TOP}/ledger.csv{'?' + query if query else ''}")
    return render_frame(
        visit,
        "/ledger",
        "Ledger",
        join((f"What this machine imported and refused for site {log['site']}. ", intact)),
        card(facts([("Head", element("span", log["head"], class_="mono wrap"))])),
        _render_search(tag),
        card(_render_entries(visit, log["entries"], log["undecided"])),
        element("p", more),
    )


def _render_search(tag: str) -> Html:
    return element(
        "form",
        element(
            "label",
            element("span", "Name or name:version of an item"),
            void("input", type="search", name="tag", value=tag, maxlength="200"),
        ),
        element("button", "Search"),
        method="get",
        action=f"{TOP}/ledger",
        class_="search",
        role="search",
    )


def _render_entries(visit: Visit, entries: Sequence[Mapping[str, Any]], undecided: int) -> Html:
    if not entries:
        return element("p", "No entry fits.", class_="empty")
    rows = [(None, _render_entry(visit, entry)) for entry in entries[:ENTRIES]]
    listed = table("Entries, the newest first", _COLUMNS, rows)
    if not undecided:
        return listed
    text = f"{count_text(undecided, 'entry', 'entries')} more may be about it: nobody can tell."
    return join((listed, element("p", text, class_="empty")))


def _render_entry(visit: Visit, entry: Mapping[str, Any]) -> Sequence[Content]:
    tags = [element("span", item["tag"], class_="line") for item in entry["items"] or ()]
    bundle = [short_id(entry["bundle"])] if entry["bundle"] else []
    if entry["sequence"]:
        number = f"{entry['channel']} no. {entry['sequence']}"
        bundle.append(element("span", number, class_="sub line"))
    signers = [
        element("span", f"{role}: ", name_keys(keys, visit.people), class_="line")
        for role, keys in (entry["signed_by"] or {}).items()
        if keys
    ]
    return (
        str(entry["number"]),
        element("span", entry["at"], class_="nw"),
        entry["event"],
        join([*tags, *bundle]) or NOTHING,
        join(signers) or NOTHING,
        entry["note"] or NOTHING,
    )


def write_csv(log: Mapping[str, Any]) -> str:
    """Return the entries as CSV; what a spreadsheet would run as a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_FIELDS, "items"])
    for entry in log["entries"]:
        tags = " ".join(item["tag"] for item in entry["items"] or ())
        writer.writerow([_disarm(entry[name]) for name in _FIELDS] + [_disarm(tags)])
    return text.getvalue()


def _disarm(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
