"""Lines for people about the log of imports."""

from collections.abc import Iterator, Mapping
from typing import Any

from airgap.cli.lines.labels import join_words
from airgap.cli.terminal import ClaimLine
from airgap.flow.installed.import_log import ImportLog, LogEntry
from airgap.format.ledger import IMPORTS
from airgap.printable import count_text, list_some
from airgap.times import format_time

__all__ = ["log_lines"]


def log_lines(log: ImportLog) -> Iterator[str]:
    """Yield each entry, the newest first: when and what, then the bundle, items and signers."""
    groups = [
        (format_time(row.entry.at), list(_entry_lines(row, log.people))) for row in log.entries
    ]
    groups += [(line["at"], list(_removal_lines(line))) for line in log.removals]
    for _, lines in sorted(groups, key=lambda group: group[0], reverse=True)[: log.wanted.limit]:
        yield from lines
    if not groups:
        yield _explain_nothing(log)
    if log.undecided:
        entries = count_text(log.undecided, "entry", "entries")
        yield (
            f"{entries} more of bundles whose items are not remembered here: without a tag,"
            " `airgap log` shows them."
        )
    if log.status.fault:
        yield f"NOT INTACT ({log.status.fault.kind}): {log.status.fault.message}"


def _explain_nothing(log: ImportLog) -> str:
    wanted, site = log.wanted, log.site
    if wanted.item is not None:
        return (
            f"The ledger of site {site} has no such entry about {wanted.item}: `airgap list` shows"
            " what is here, and `airgap log` all entries."
        )
    if wanted.events or log.newest is None or log.newest >= wanted.since:
        return f"The ledger of site {site} has no such entry."
    since, newest = format_time(wanted.since), format_time(log.newest)
    return f"Nothing happened at site {site} since {since}: the newest entry is of {newest}."


def _entry_lines(row: LogEntry, people: Mapping[str, str]) -> Iterator[str]:
    entry = row.entry
    number = f" {entry.sequence}" if entry.sequence else ", no number"
    channel = f"  channel {entry.channel}{number}" if entry.channel else ""
    about_root = "" if entry.bundle else f"  root version {entry.root}"
    yield f"{format_time(entry.at)}  {entry.event}{channel}{about_root}"
    if entry.bundle:
        yield f"  bundle {entry.bundle.hex()}"
    yield from _item_lines(row)
    for name, digest in entry.documents.items():
        yield f"  {name}  sha256 {digest.hex()}"
    if entry.who.user or entry.who.host:
        yield ClaimLine(f"  by {entry.who.user or 'a user'} on {entry.who.host or 'this machine'}")
    if entry.note:
        yield ClaimLine(f"  note: {join_words(entry.note)}")
    for role, key_ids in entry.signed_by.items():
        yield f"  {'waiver signed by approver' if role == 'waiver' else f'signed by {role}'}"
        for key_id in key_ids:
            yield ClaimLine(f"    {key_id}  {people.get(key_id, '')}".rstrip())
    if entry.event in IMPORTS and not row.names_signers:
        yield "  the entry does not name the signers: an older version of airgap wrote it"


def _removal_lines(line: Mapping[str, Any]) -> Iterator[str]:
    yield ClaimLine(f"{line['at']}  removed  by {join_words(line['user'])}")
    items = [f"{item['kind']} {item['tag']}" for item in line["items"]]
    yield from (ClaimLine(f"  {text}") for text in list_some(items))


def _item_lines(row: LogEntry) -> Iterator[str]:
    if row.items:
        items = [str(item) for item in reversed(row.items)]
        yield from (ClaimLine(f"  {line}") for line in list_some(items))
    elif row.entry.event in IMPORTS:
        yield "  its items are not remembered here"
