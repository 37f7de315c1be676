"""The sections of a report's page about trust: keys, rules, ledgers and roots. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from airgap.flow.audit.page_parts import (
    Report,
    link_bundle,
    link_evidence,
    link_key,
    show_alert,
    show_code,
    show_lines,
    show_note,
    show_time,
    table_or_none,
)
from airgap.markup import Content, Html, element, escape, join, table, void
from airgap.printable import count_text, series_text

__all__ = ["render_ledgers", "render_people", "render_roots", "render_rules"]

_SIDES: Final = {"imports": "imports", "exports": "exports", "unknown": "not known"}


def render_people(report: Report) -> Iterator[Content]:
    """Yield whose keys there are, and who acted as machines say."""
    yield element(
        "p",
        "Names are those that the root gives to keys. What is counted is for how many of these"
        " bundles a key's signature counts.",
    )
    rows = [
        (
            f"k-{one['key']}",
            [
                join([one["name"] or "no name", void("br"), show_code(one["key"])]),
                ", ".join(one["roles"]) or "none",
                _revoked(one),
                ", ".join(f"{role} {count:,}" for role, count in one["counted"].items()) or "—",
                link_evidence(one["evidence"]),
            ],
        )
        for one in report["people"]
    ]
    columns = ["Whose key", "Roles", "State", "Counted", "Evidence"]
    yield table_or_none("Keys", columns, rows, "cols-people")
    users = [
        (None, [one["user"] or "—", one["host"] or "—", one["ledger"], f"{one['entries']:,}"])
        for one in report["users"]
    ]
    if users:
        caption = "Users and hosts, as the machines say of themselves; nobody signs that"
        yield table(caption, ["User", "Host", "Ledger", "Entries"], users)


def _revoked(person: Report) -> Content:
    if not person["revoked"]:
        return "in force"
    since = person["revoked_since"]
    if since is None:
        return show_alert("revoked; it is not said since when")
    return element("span", "▲ revoked, since ", show_time(since), class_="alert")


def render_rules(report: Report) -> Iterator[Content]:
    """Yield which rules each bundle meets today, and its signatures."""
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
                link_bundle(one["bundle"]),
                *(_result(one["results"][number]) for number in numbers),
                join(
                    [
                        show_lines(_list_reasons(one["results"], numbers)),
                        link_evidence(one["evidence"]),
                    ]
                ),
            ],
        )
        for one in bundles
    ]
    columns = ["Bundle", *(f"Rule {number}" for number in numbers), "Why"]
    yield table_or_none("Rules", columns, rows, "cols-rules")
    known = {one["key"] for one in report["people"]}
    signatures = [
        (
            None,
            [
                link_bundle(one["bundle"]),
                f"{signature['role']}{_suffix(signature)}",
                join([signature["person"] or "", " ", link_key(signature["key"], known)]),
                _standing(signature),
                show_time(signature["stamped"]),
                link_evidence(signature["evidence"]),
            ],
        )
        for one in bundles
        for signature in one["signatures"]
    ]
    columns = ["Bundle", "Role", "Key", "Today", "Stamped time", "Evidence"]
    if signatures:
        yield table("Signatures", columns, signatures)


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
    return f"counts{kept}" if signature["counts"] else show_alert(f"{signature['problem']}{kept}")


def _suffix(signature: Report) -> str:
    name, decision = signature["name"], signature["decision"]
    return f" ({name}: {decision})" if name else ""


def render_ledgers(report: Report) -> Iterator[Content]:
    """Yield each ledger, how long it is, and who signed that."""
    for one in report["ledgers"]:
        checkpoint = one["checkpoint"]
        yield element("h3", f"{one['label']}: {one['origin']}", id=f"l-{one['label']}")
        events = ", ".join(f"{count:,} {event}" for event, count in one["events"].items())
        facts: list[tuple[str, Content]] = [
            ("Records", _SIDES[one["side"]]),
            ("Source", one["source"]),
            ("Entries", f"{one['entries']:,}, from number {one['first']:,} on: {events}"),
            ("Claimed times", f"{one['begins'] or '—'} to {one['ends'] or '—'}"),
            ("State", show_alert(one["fault"]) if one["fault"] else "consistent"),
        ]
        if one["put_aside"]:
            facts.append(("Put aside", _put_aside(one["put_aside"])))
        if checkpoint is None:
            facts.append(("Checkpoint", show_alert("none that counts")))
        else:
            facts += _checkpoint_facts(checkpoint)
        facts.append(("Evidence", link_evidence(one["evidence"]) or "—"))
        rows = [part for term, fact in facts for part in (element("dt", term), element("dd", fact))]
        yield element("dl", *rows, class_="facts")
    if not report["ledgers"]:
        yield element("p", "No ledger was read.")


def _put_aside(reset: Report) -> Html:
    """Say when a reset put a ledger aside, and by whose decision, in that person's words."""
    person = " on ".join(filter(None, (reset["user"], reset["host"]))) or "somebody unnamed"
    where = f" by {person}, as {reset['ledger']}, entry {reset['entry']} says "
    parts = [
        show_time(reset["at"]),
        where,
        link_evidence(reset["evidence"]),
        show_note(reset["note"]),
    ]
    return join(parts)


def _checkpoint_facts(checkpoint: Report) -> list[tuple[str, Content]]:
    recorder = join([checkpoint["person"] or "", " ", show_code(checkpoint["recorder"])])
    others = ", ".join(checkpoint["other_signatures"])
    facts: list[tuple[str, Content]] = [
        ("Checkpoint", f"covers {count_text(checkpoint['size'], 'entry', 'entries')}"),
        ("Root of the tree", show_code(checkpoint["root"])),
        ("Recorder", recorder),
        ("Stamped time", checkpoint["stamped"] or "—"),
    ]
    if others:
        facts.append(("Further signatures", f"{others} (not verified here)"))
    return facts


def render_roots(report: Report) -> Iterator[Content]:
    """Yield the roots, and what each changed."""
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
                join([show_code(one["fingerprint"]), void("br"), one["reason"]]),
                f"{one['created_at'] or '—'} to {one['expires_at'] or 'no end'}",
                show_lines(
                    f"{role}: {held['threshold']} of {held['keys']}"
                    for role, held in sorted(one["roles"].items())
                ),
                _changes(one["changes"]),
                link_evidence(one["evidence"]),
            ],
        )
        for one in report["roots"]
    ]
    columns = ["Root", "Fingerprint", "In force", "Thresholds", "Changes", "Evidence"]
    yield table("Roots", columns, rows)


def _changes(texts: Sequence[str]) -> Html:
    if not texts:
        return escape("—")
    return element("ul", *(element("li", text) for text in texts), class_="changes")
