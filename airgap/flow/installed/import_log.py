"""``airgap log``: what happened to bundles of a site on this machine, by one of its ledgers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from airgap.errors import MissingError
from airgap.flow.admission import history
from airgap.flow.admission.history import HistoryStatus, Side
from airgap.flow.installed.item_name import ItemName
from airgap.flow.ledger.checkpoints import choose_ledger
from airgap.flow.site import load_pinned
from airgap.format.ledger import Entry
from airgap.format.ledger_entry import SIGNED_FORMAT
from airgap.state import installed_manifests, removals
from airgap.state.exported_manifests import load_exported
from airgap.times import format_time

__all__ = ["ImportLog", "LogEntry", "LogFilter", "describe_log", "read_log", "select_entries"]

_NAMES: Final[Mapping[Side, str]] = MappingProxyType(
    {"importing": "imports", "exporting": "exports"}
)
LoadItems = Callable[[str], tuple[ItemName, ...] | None]
"""Returns the items of a bundle by its id; None if its manifest is not remembered."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries to show: the newest ``limit`` that fit; None: all.

    ``since`` is in seconds since 1970. No ``events`` stand for all.
    """

    item: ItemName | None = None
    since: int = 0
    events: Sequence[str] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the ledger: its number from 1 on, and its bundle's items if remembered."""

    number: int
    entry: Entry
    items: tuple[ItemName, ...] | None

    @property
    def names_signers(self) -> bool:
        """Whether the entry says who signed: those of older versions do not."""
        return self.entry.format >= SIGNED_FORMAT


@dataclass(frozen=True, slots=True)
class ImportLog:
    """The entries of a site's ledger that were asked for, newest first.

    ``undecided`` counts those of bundles that are not remembered, so that nobody can tell whether
    they hold the item that was asked for.
    """

    site: str
    people: Mapping[str, str]
    """Whose keys they are, by id, as the pinned root of the site says."""
    status: HistoryStatus
    entries: tuple[LogEntry, ...]
    undecided: int = 0
    removals: tuple[Mapping[str, Any], ...] = ()
    """What was removed from this machine, newest first, as format §21 has it."""
    wanted: LogFilter = LogFilter()
    """Its ``limit`` also holds for entries and removals together, as people see them."""
    newest: int | None = None
    """When the newest entry of the ledger was written, in seconds since 1970."""


def read_log(
    wanted: LogFilter, site: str | None = None, side: Side = "importing", reset: int = 0
) -> ImportLog:
    """Read a ledger of a site, as far as it is intact: of the pinned root's, if none is named.

    With ``reset``, it is the one that this reset put aside (format §17.7), without removals.

    Raises:
        ConfigurationError: none is named, and this machine trusts nobody yet.
        MissingError: the site has no such ledger here.
        StorageError: a file cannot be read.
    """
    site = choose_ledger(site, side, reset).site
    pinned = load_pinned()
    if not history.locate_ledger(site, side).exists() and (pinned is None or side == "exporting"):
        raise MissingError(
            f"This machine has no ledger of {_NAMES[side]} for site {site}.",
            "Give --site, or --exports: `airgap doctor` lists the ledgers that are here.",
        )
    status = history.check_history(site, side, reset)
    entries = list(history.read_entries(site, side, reset))
    shown, undecided = select_entries(entries, wanted, cache(_load_items))
    has_removals = side == "importing" and not reset
    removed = select_removals(list(removals.list_removals()), wanted) if has_removals else ()
    newest = entries[-1].at if entries else None
    is_pinned = pinned is not None and pinned.value.site == site
    people = pinned.value.rules.people if pinned is not None and is_pinned else {}
    return ImportLog(site, people, status, tuple(shown), undecided, tuple(removed), wanted, newest)


def select_entries(
    entries: Sequence[Entry], wanted: LogFilter, load: LoadItems
) -> tuple[list[LogEntry], int]:
    """Choose entries, newest first; return them and how many cannot be decided. Pure."""
    shown: list[LogEntry] = []
    undecided = 0
    for number, entry in _walk_back(entries):
        if wanted.limit is not None and len(shown) >= wanted.limit:
            break
        if entry.at < wanted.since or (wanted.events and entry.event not in wanted.events):
            continue
        items = load(entry.bundle.hex()) if entry.bundle else None
        if wanted.item is None:
            shown.append(LogEntry(number, entry, items))
        elif items is None:
            undecided += entry.bundle is not None
        elif any(map(wanted.item.fits, items)):
            shown.append(LogEntry(number, entry, items))
    return shown, undecided


def select_removals(
    lines: Sequence[Mapping[str, Any]], wanted: LogFilter
) -> list[Mapping[str, Any]]:
    """Choose removals, newest first. Pure."""
    since = format_time(wanted.since)
    return [
        line
        for line in reversed(lines)
        if line["at"] >= since
        and (not wanted.events or line["event"] in wanted.events)
        and (wanted.item is None or any(_fits(wanted.item, item) for item in line["items"]))
    ][: wanted.limit]


def _fits(wanted: ItemName, item: Mapping[str, str]) -> bool:
    name, _, version = item["tag"].partition(":")
    return wanted.name == name and wanted.version in ("", version)


def _load_items(bundle: str) -> tuple[ItemName, ...] | None:
    """Return the items of a remembered bundle, without its files: these may be millions."""
    manifest = installed_manifests.load_manifest(bundle) or load_exported(bundle)
    if manifest is None:
        return None
    return tuple(ItemName(item.name, item.version, item.kind) for item in manifest.items)


def _walk_back(entries: Sequence[Entry]) -> Iterator[tuple[int, Entry]]:
    for number in range(len(entries), 0, -1):
        yield number, entries[number - 1]


def describe_log(log: ImportLog) -> dict[str, Any]:
    """Describe the log for JSON. Times as RFC 3339; digests and ids in hex."""
    fault = log.status.fault
    return {
        "site": log.site,
        "intact": fault is None,
        "fault": {"kind": fault.kind, "message": fault.message} if fault else None,
        "head": log.status.head,
        "entries": [_describe(entry) for entry in log.entries],
        "undecided": log.undecided,
        "removals": [dict(line) for line in log.removals],
    }


def _describe(row: LogEntry) -> dict[str, Any]:
    entry = row.entry
    return {
        "number": row.number,
        "at": format_time(entry.at),
        "event": entry.event,
        "bundle": entry.bundle.hex() if entry.bundle else None,
        "channel": entry.channel,
        "sequence": entry.sequence,
        "root_version": entry.root,
        "signed_by": {role: list(ids) for role, ids in entry.signed_by.items()}
        if row.names_signers
        else None,
        "waiver": entry.waiver.hex() if entry.waiver else None,
        "who": {"user": entry.who.user, "host": entry.who.host, "key": entry.who.key},
        "documents": {name: value.hex() for name, value in entry.documents.items()},
        "note": entry.note,
        "items": None
        if row.items is None
        else [{"kind": item.kind, "tag": f"{item.name}:{item.version}"} for item in row.items],
    }
