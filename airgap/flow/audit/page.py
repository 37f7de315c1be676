"""Renders a report as one HTML file: no script, nothing remote, for screen and paper. Pure.

It is made of the same plain data that programs read (format §38.3), and adds nothing to it.
"""

import base64
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from airgap.flow.audit.exceptions import KINDS
from airgap.markup import Content, Html, element, escape, join, table, void
from airgap.printable import count_text, series_text, size_text

__all__ = ["render_page"]

Report = Mapping[str, Any]
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>{head}</head>
<body>
{body}
</body>
</html>
"""
_MARKS: Final = {"clean": "●", "exceptions": "▲", "contradiction": "■"}
_WORDS: Final = {
    "clean": "Consistent, no exceptions",
    "exceptions": "Consistent, with exceptions",
    "contradiction": "Contradicts itself",
}
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
_SIDES: Final = {"imports": "imports", "exports": "exports", "unknown": "not known"}
_SHORT: Final = 12
_KEY_DIGITS: Final = 16


def render_page(report: Report) -> str:
    """Return the page."""
    sections = "".join(
        _render_section(anchor, title, render(report)) for anchor, title, render in _SECTIONS
    )
    body = join(
        [
            element("header", *_render_head(report)),
            element("nav", _render_contents(report), aria_label="Contents"),
            element("main", Html(sections)),
            element("footer", *_render_foot(report)),
        ],
        Html("\n"),
    )
    head = "".join(
        [
            void("meta", charset="utf-8"),
            void("meta", http_equiv="Content-Security-Policy", content=_make_policy()),
            void("meta", name="viewport", content="width=device-width, initial-scale=1"),
            void("meta", name="color-scheme", content="light dark"),
            void("meta", name="referrer", content="no-referrer"),
            element("title", f"Audit report of site {report['site']}, {report['made_at']}"),
            element("style", Html(_load_style())),
        ]
    )
    return _PAGE.format(head=head, body=body)


@cache
def _load_style() -> str:
    return (Path(__file__).parent / "texts/style.css").read_text(encoding="utf-8")


def _make_policy() -> str:
    """Allow nothing but this style: no script, no other file, no form, no base."""
    digest = base64.b64encode(hashlib.sha256(_load_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _render_section(anchor: str, title: str, content: Iterable[Content]) -> Html:
    heading = element("h2", title, id=anchor)
    return element("section", heading, join(content), aria_labelledby=anchor)


# ---- head and foot


def _render_head(report: Report) -> Iterator[Content]:
    verdict, root = report["verdict"], report["root"]
    yield element("p", "Audit report", class_="eyebrow")
    yield element("h1", f"What crossed the gap to site {report['site']}")
    opinion = verdict["opinion"]
    finding = f"{_MARKS[opinion]} {_WORDS[opinion]}"
    yield element(
        "div",
        element("p", "Verdict", class_="eyebrow"),
        element("p", element("strong", finding), class_="finding"),
        element("p", f"{verdict['statement']} {_summarize(verdict)}"),
        class_=f"opinion {opinion}",
    )
    facts = [
        ("Site", report["site"]),
        ("Report of", report["made_at"]),
        ("Made by", report["tool"]),
        (
            "Relies on",
            join(
                [
                    f"root version {root['version']}, ",
                    _code(root["fingerprint"]),
                    _refs(root["evidence"]),
                ]
            ),
        ),
        ("Read", _describe_read(report["read"])),
        ("Limited to", _describe_filter(report["filter"])),
    ]
    rows = [part for term, fact in facts for part in (element("dt", term), element("dd", fact))]
    yield element("dl", *rows, class_="facts")


def _summarize(verdict: Report) -> str:
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(verdict["outcomes"].items()))
    left_out = verdict["bundles_left_out"]
    rest = f"; {count_text(left_out, 'more bundle')} left out by the filter" if left_out else ""
    return (
        f"{count_text(verdict['bundles'], 'bundle')} ({outcomes or 'none'}){rest};"
        f" {count_text(verdict['exceptions'], 'exception')};"
        f" {count_text(verdict['entries'], 'entry', 'entries')} of ledgers and"
        f" {count_text(verdict['receipts'], 'receipt')} were read."
    )


def _describe_read(read: Report) -> str:
    ledgers = ", ".join(read["ledgers"]) or "none"
    locations = ", ".join(read["locations"]) or "none"
    return f"ledgers: {ledgers}; bundles in: {locations}; receipts: {read['receipts']:,}"


def _describe_filter(wanted: Report | None) -> str:
    if wanted is None:
        return "nothing: all that was read"
    return "; ".join(f"{name} {value}" for name, value in sorted(wanted.items()) if value)


def _render_contents(report: Report) -> Html:
    del report
    links = [
        element("li", element("a", title, href=f"#{anchor}")) for anchor, title, _ in _SECTIONS
    ]
    return join([element("h2", "Contents"), element("ol", *links)])


def _render_foot(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        f"Made by {report['tool']}. Numbers such as ",
        element("span", "[1]", class_="refs"),
        " lead to the evidence, its SHA-256, and the command that checks it without airgap, to be"
        " run in the folder that `airgap audit --evidence` writes.",
    )


# ---- sections


def _render_exceptions(report: Report) -> Iterator[Content]:
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
        mark = "■" if kind in ("contradiction", "ledger-fault") else "▲"
        yield element("h3", f"{mark} {KINDS[kind]} ({count:,})", id=f"x-{kind}")
        rows = [
            (
                None,
                [
                    _bundle(one["bundle"]) if one["bundle"] else one["ledger"] or "—",
                    join([one["statement"], _note(one["note"])]),
                    _time(one["at"]),
                    _refs(one["evidence"]),
                ],
            )
            for one in found
            if one["kind"] == kind
        ]
        columns = ["About", "What", "Claimed time", "Evidence"]
        yield table(KINDS[kind], columns, rows, "hidden-caption cols-exceptions")


def _render_moved(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        "Each bundle that a ledger, a receipt or a location names, by when it is first heard of. Of"
        " two ledgers, a receipt that both name joins the rows; a row without a partner is marked.",
    )
    rows = [
        (
            f"b-{one['bundle']}",
            [
                join([_code(one["bundle"]), _note_labels(one)]),
                _number(one),
                _items(one),
                element(
                    "strong" if "▲" in _OUTCOMES[one["outcome"]] else "span",
                    _OUTCOMES[one["outcome"]],
                ),
                _partner(one["partner"]),
                _refs(_collect(one)),
            ],
        )
        for one in report["moved"]
    ]
    columns = ["Bundle id", "Channel, number", "Items", "Outcome", "Two sides", "Evidence"]
    yield _table_or_none("Bundles", columns, rows, "cols-moved")


def _render_people(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        "Names are those that the root gives to keys. What is counted is for how many of these"
        " bundles a key's signature counts.",
    )
    rows = [
        (
            f"k-{one['key']}",
            [
                join([one["name"] or "no name", void("br"), _code(one["key"])]),
                ", ".join(one["roles"]) or "none",
                _revoked(one),
                ", ".join(f"{role} {count:,}" for role, count in one["counted"].items()) or "—",
                _refs(one["evidence"]),
            ],
        )
        for one in report["people"]
    ]
    columns = ["Whose key", "Roles", "State", "Counted", "Evidence"]
    yield _table_or_none("Keys", columns, rows, "cols-people")
    users = [
        (None, [one["user"] or "—", one["host"] or "—", one["ledger"], f"{one['entries']:,}"])
        for one in report["users"]
    ]
    if users:
        caption = "Users and hosts, as the machines say of themselves; nobody signs that"
        yield table(caption, ["User", "Host", "Ledger", "Entries"], users)


def _render_times(report: Report) -> Iterator[Content]:
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
                _bundle(one["bundle"]),
                _lines(join([f"{claim['what']} ", _time(claim["at"])]) for claim in one["claimed"]),
                _time(one["stamped"]),
                _keep_whole(one["index"]),
                _refs(one["evidence"]),
            ],
        )
        for one in report["times"]
    ]
    columns = ["Bundle", "Claimed time", "Stamped time", "Ledger index", "Evidence"]
    yield _table_or_none("Times", columns, rows, "cols-times")


def _render_media(report: Report) -> Iterator[Content]:
    rows = [
        (
            None,
            [
                _bundle(one["bundle"]),
                f"{one['form']} {one['source']}",
                one["volumes"] or "—",
                f"{size_text(one['stored_size'])} in {count_text(one['packs'], 'pack')}",
                "no"
                if one["sealed_to"] is None
                else _seal(one["sealed_to"], is_opened=one["opened"]),
                _refs(one["evidence"]),
            ],
        )
        for one in report["media"]
        if one["source"] is not None
    ]
    missing = len(report["media"]) - len(rows)
    columns = ["Bundle", "Location that was read", "Volumes", "Stored", "Sealed", "Evidence"]
    yield _table_or_none("Media", columns, rows)
    if missing:
        yield element(
            "p",
            f"Of {count_text(missing, 'bundle')}, no location was read: by which medium they came,"
            " no ledger records.",
        )


def _render_rules(report: Report) -> Iterator[Content]:
    rules, bundles = report["rules"]["rules"], report["rules"]["bundles"]
    numbers = sorted(rules, key=int)
    yield element(
        "p",
        "The rules by which a site admits a bundle (format §7.5), applied to the bundles that were"
        " read, by today's root. An import in a ledger was admitted by the root of then.",
    )
    yield element("ol", *(element("li", rules[number]) for number in numbers))
    rows = [
        (
            None,
            [
                _bundle(one["bundle"]),
                *(_result(one["results"][number]) for number in numbers),
                join([_lines(_list_reasons(one["results"], numbers)), _refs(one["evidence"])]),
            ],
        )
        for one in bundles
    ]
    columns = ["Bundle", *(f"Rule {number}" for number in numbers), "Why"]
    yield _table_or_none("Rules", columns, rows, "cols-rules")
    known = {one["key"] for one in report["people"]}
    signatures = [
        (
            None,
            [
                _bundle(one["bundle"]),
                f"{signature['role']}{_suffix(signature)}",
                join([signature["person"] or "", " ", _key(signature["key"], known)]),
                _standing(signature),
                _time(signature["stamped"]),
                _refs(signature["evidence"]),
            ],
        )
        for one in bundles
        for signature in one["signatures"]
    ]
    columns = ["Bundle", "Role", "Key", "Today", "Stamped time", "Evidence"]
    if signatures:
        yield table("Signatures", columns, signatures)


def _render_ledgers(report: Report) -> Iterator[Content]:
    for one in report["ledgers"]:
        checkpoint = one["checkpoint"]
        yield element("h3", f"{one['label']}: {one['origin']}", id=f"l-{one['label']}")
        events = ", ".join(f"{count:,} {event}" for event, count in one["events"].items())
        facts: list[tuple[str, Content]] = [
            ("Records", _SIDES[one["side"]]),
            ("Source", one["source"]),
            ("Entries", f"{one['entries']:,}, from number {one['first']:,} on: {events}"),
            ("Claimed times", f"{one['begins'] or '—'} to {one['ends'] or '—'}"),
            ("State", _alert(one["fault"]) if one["fault"] else "consistent"),
        ]
        if one["put_aside"]:
            facts.append(("Put aside", _put_aside(one["put_aside"])))
        if checkpoint is None:
            facts.append(("Checkpoint", _alert("none that counts")))
        else:
            facts += _checkpoint_facts(checkpoint)
        facts.append(("Evidence", _refs(one["evidence"]) or "—"))
        rows = [part for term, fact in facts for part in (element("dt", term), element("dd", fact))]
        yield element("dl", *rows, class_="facts")
    if not report["ledgers"]:
        yield element("p", "No ledger was read.")


def _put_aside(reset: Report) -> Html:
    """Say when a reset put a ledger aside, and by whose decision, in that person's words."""
    person = " on ".join(filter(None, (reset["user"], reset["host"]))) or "somebody unnamed"
    where = f" by {person}, as {reset['ledger']}, entry {reset['entry']} says "
    parts = [_time(reset["at"]), where, _refs(reset["evidence"]), _note(reset["note"])]
    return join(parts)


def _checkpoint_facts(checkpoint: Report) -> list[tuple[str, Content]]:
    recorder = join([checkpoint["person"] or "", " ", _code(checkpoint["recorder"])])
    others = ", ".join(checkpoint["other_signatures"])
    facts: list[tuple[str, Content]] = [
        ("Checkpoint", f"covers {count_text(checkpoint['size'], 'entry', 'entries')}"),
        ("Root of the tree", _code(checkpoint["root"])),
        ("Recorder", recorder),
        ("Stamped time", checkpoint["stamped"] or "—"),
    ]
    if others:
        facts.append(("Further signatures", f"{others} (not verified here)"))
    return facts


def _render_roots(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        "The root that this report relies on, and the older ones that it leads to. Compare its"
        " fingerprint with the site's records on paper: all the rest follows from it.",
    )
    rows = [
        (
            None,
            [
                f"version {one['version']}",
                join([_code(one["fingerprint"]), void("br"), one["reason"]]),
                f"{one['created_at'] or '—'} to {one['expires_at'] or 'no end'}",
                _lines(
                    f"{role}: {held['threshold']} of {held['keys']}"
                    for role, held in sorted(one["roles"].items())
                ),
                _changes(one["changes"]),
                _refs(one["evidence"]),
            ],
        )
        for one in report["roots"]
    ]
    columns = ["Root", "Fingerprint", "In force", "Thresholds", "Changes", "Evidence"]
    yield table("Roots", columns, rows)


def _render_controls(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        "Where evidence is for controls that auditors often ask about. Whether a control is met is"
        " for the auditor to say.",
    )
    titles = {anchor: title for anchor, title, _ in _SECTIONS}
    rows = [
        (
            None,
            [
                f"{one['standard']} {one['id']}",
                one["subject"],
                join(
                    [element("a", titles[name], href=f"#{name}") for name in one["sections"]], ", "
                ),
            ],
        )
        for one in report["controls"]
    ]
    yield table("Controls", ["Control", "About", "Evidence in"], rows)


def _render_not_shown(report: Report) -> Iterator[Content]:
    yield element("ul", *(element("li", sentence) for sentence in report["not_shown"]))


def _render_evidence(report: Report) -> Iterator[Content]:
    yield element(
        "p",
        "Each command succeeds (exit code 0) in the evidence folder, with openssl, python3 and the"
        " tools of any POSIX system. check.sh there runs them all.",
    )
    items = [
        element(
            "li",
            element("span", f"[{one['number']}]", class_="number"),
            element("p", f"{one['what']}."),
            element("p", _code(one["file"]), class_="soft"),
            element("p", "SHA-256 ", _code(one["sha256"]), class_="soft"),
            element("code", one["command"], class_="command"),
            id=f"e-{one['number']}",
        )
        for one in report["evidence"]
    ]
    yield element("ol", *items, class_="evidence")


_SECTIONS: Final[Sequence[tuple[str, str, Callable[[Report], Iterator[Content]]]]] = (
    ("exceptions", "Exceptions", _render_exceptions),
    ("moved", "What moved", _render_moved),
    ("people", "Who", _render_people),
    ("times", "When", _render_times),
    ("media", "By which medium", _render_media),
    ("rules", "Verified how", _render_rules),
    ("ledgers", "Ledgers", _render_ledgers),
    ("roots", "Chain of roots", _render_roots),
    ("controls", "Controls", _render_controls),
    ("not-shown", "What this does not show", _render_not_shown),
    ("evidence", "Evidence", _render_evidence),
)


# ---- parts


def _table_or_none(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str | None, Sequence[Content]]],
    class_: str | None = None,
) -> Html:
    return table(caption, columns, rows, class_) if rows else element("p", "None.")


def _keep_whole(texts: Sequence[str]) -> Html:
    """Return texts that a line may be broken between, and not within."""
    return join((element("span", text, class_="keep") for text in texts), ", ") or escape("—")


def _time(at: str | None) -> Html:
    """Return a time, which is never broken in two; a dash for none."""
    return escape("—") if at is None else element("time", at, datetime=at)


def _refs(numbers: Sequence[int]) -> Html:
    """Return links to pieces of evidence; a link names the number that it leads to."""
    links = [
        element("a", f"[{number}]", href=f"#e-{number}")
        for number in dict.fromkeys(numbers)
        if number
    ]
    return element("span", join(links, " "), class_="refs") if links else Html("")


def _bundle(bundle: str) -> Html:
    """Return the first digits of a bundle id, which lead to the whole of it."""
    digits = element("code", bundle[:_SHORT], class_="id")
    return element("a", digits, href=f"#b-{bundle}")


def _key(key_id: str, people: Collection[str]) -> Html:
    """Return the first digits of a key id, which lead to whose it is, if a root names it."""
    digits = element("code", key_id[:_KEY_DIGITS] or "—", class_="id")
    return element("a", digits, href=f"#k-{key_id}") if key_id in people else digits


def _code(text: str) -> Html:
    return element("code", text)


def _alert(text: str) -> Html:
    return element("span", f"▲ {text}", class_="alert")


def _note(text: str | None) -> Html:
    return Html("") if not text else element("blockquote", element("bdi", text), class_="note")


def _lines(texts: Iterable[Content]) -> Html:
    """Return lines below each other; a dash if there is none."""
    items = [element("li", text) for text in texts]
    return element("ul", *items, class_="plain") if items else escape("—")


def _changes(texts: Sequence[str]) -> Html:
    if not texts:
        return escape("—")
    return element("ul", *(element("li", text) for text in texts), class_="changes")


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


def _seal(recipients: int, *, is_opened: bool) -> str:
    """Say to how many a bundle is sealed, and whether somebody looked into it."""
    looked = "opened for this report" if is_opened else "not looked into"
    return f"to {count_text(recipients, 'recipient')}; {looked}"


def _item(item: Report) -> Html:
    parts: list[Content] = [f"{item['kind']} {item['tag']}"]
    if item["size"] is not None:
        parts.append(f" ({size_text(item['size'])}, {count_text(item['files'], 'file')})")
    parts += [void("br"), element("span", _code(item["digest"]), class_="soft")]
    if item["licences"] is not None:
        named = ", ".join(item["licences"]) or "none named"
        parts += [void("br"), f"licence: {named}"]
    return element("li", *parts)


def _note_labels(movement: Report) -> Html:
    if not movement["labels"]:
        return Html("")
    labels = ", ".join(f"{name}: {value}" for name, value in sorted(movement["labels"].items()))
    return join([void("br"), element("span", element("bdi", labels), class_="soft")])


def _partner(partner: str) -> Html:
    text = _PARTNERS[partner]
    return element("span", text, class_="alert" if text.startswith("▲") else None)


def _collect(movement: Report) -> list[int]:
    """Return all evidence of a row: the manifest, its entries, its receipts."""
    rows = [movement, *movement["entries"], *movement["receipts"]]
    return [number for row in rows for number in row["evidence"]]


def _revoked(person: Report) -> Content:
    if not person["revoked"]:
        return "in force"
    since = person["revoked_since"]
    if since is None:
        return _alert("revoked; it is not said since when")
    return element("span", "▲ revoked, since ", _time(since), class_="alert")


def _result(result: Report) -> Html:
    if result["result"] == "no":
        return element("span", "NO", class_="no")
    return escape("yes" if result["result"] == "yes" else "—")


def _list_reasons(results: Report, numbers: Sequence[str]) -> Iterator[str]:
    """Yield why a rule is broken, or was not checked; rules with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for number in numbers:
        if results[number]["reason"]:
            reasons.setdefault(results[number]["reason"], []).append(number)
    for reason, broken in reasons.items():
        yield f"{series_text(broken)}: {reason}"


def _standing(signature: Report) -> Content:
    """Say whether a signature counts today, and whether only the import has kept it."""
    kept = "; the location has lost it, the import kept it" if signature["kept"] else ""
    return f"counts{kept}" if signature["counts"] else _alert(f"{signature['problem']}{kept}")


def _suffix(signature: Report) -> str:
    name, decision = signature["name"], signature["decision"]
    return f" ({name}: {decision})" if name else ""
