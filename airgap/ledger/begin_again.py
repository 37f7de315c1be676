"""The ledger that a reset begins: it names the one before, and has its numbers (format §17.7)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from airgap.format import ledger as ledger_format
from airgap.format import limits
from airgap.format.ledger import NUMBERED, Entry, Replaced, State
from airgap.format.tree import fold_edge

__all__ = ["begin_again", "name_replaced"]

_MOST_BYTES: Final = limits.LEDGER_REFUSAL_BYTES


def begin_again(
    first: Entry,
    old: State | None,
    entries: Iterable[tuple[Entry, bytes]],
    summarized: State | None = None,
) -> bytes:
    """Return the bytes of a new ledger.

    Args:
        first: its first entry, a `reset`, but for what it replaces.
        old: the state that follows from the intact entries of the ledger before; None: it has none.
        entries: these entries.
        summarized: what the state file beside that ledger says; None: it cannot be read. It may
            have numbers of entries that are damaged.
    """
    replaces = None if old is None else name_replaced(old)
    carried = list(_carry(first, entries))
    carried += _carry_summarized(first, old, summarized)
    if summarized is not None:
        first = replace(first, floor=max(first.floor, summarized.floor))
        carried = [replace(entry, floor=first.floor) for entry in carried]
    first = replace(first, replaces=replaces)
    ledger = _chain([first, *carried])
    if len(ledger) <= _MOST_BYTES or old is None:
        return ledger
    states = filter(None, (old, summarized))
    last = {
        (name, mark.sequence, mark.bundle)
        for state in states
        for name, mark in state.channels.items()
    }
    kept = [entry for entry in carried if (entry.channel, entry.sequence, entry.bundle) in last]
    return _chain([first, *kept])


def name_replaced(state: State) -> Replaced:
    """Return how a `reset` names the ledger before, by the state of its intact entries."""
    return Replaced(state.entries, state.first, state.head, fold_edge(state.edge))


def _carry(first: Entry, entries: Iterable[tuple[Entry, bytes]]) -> Iterator[Entry]:
    seen: set[tuple[str | None, int, bytes]] = set()
    for entry, _ in entries:
        if entry.event not in NUMBERED or entry.bundle is None:
            continue
        number = (entry.channel, entry.sequence, entry.bundle)
        if number not in seen:
            seen.add(number)
            yield _make_carried(first, entry.root, *number)


def _carry_summarized(first: Entry, old: State | None, summarized: State | None) -> Iterator[Entry]:
    """Yield the numbers of channels that only the state file still has (format §17.7)."""
    for channel, mark in sorted(summarized.channels.items()) if summarized else ():
        if old is None or mark.sequence > old.last_sequence(channel):
            yield _make_carried(first, mark.root, channel, mark.sequence, mark.bundle)


def _make_carried(
    first: Entry, root: int, channel: str | None, sequence: int, bundle: bytes
) -> Entry:
    return replace(
        first,
        event="carried",
        note="",
        root=root,
        channel=channel,
        sequence=sequence,
        bundle=bundle,
    )


def _chain(entries: Sequence[Entry]) -> bytes:
    """Return entries as a ledger, each with the digest of the one before."""
    frames, previous = [], entries[0].previous
    for entry in entries:
        raw = ledger_format.encode_entry(replace(entry, previous=previous))
        frames.append(ledger_format.frame(raw))
        previous = ledger_format.digest(raw)
    return b"".join(frames)
