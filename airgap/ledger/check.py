"""Checks whether ledger, state and witness belong together (format §17.5, §17.6). Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from airgap.errors import CorruptError
from airgap.format import ledger as ledger_format
from airgap.format import limits, tree
from airgap.format.ledger import FRAME_BYTES, LENGTH_BYTES, Entry, State, Witness
from airgap.ledger.state_file import decode_state_file
from airgap.printable import count_text

__all__ = [
    "NO_HEAD",
    "Consistent",
    "Fault",
    "LedgerEnd",
    "check_end",
    "check_ledger",
    "check_witness",
    "find_end",
    "find_entries",
    "fits_replaced",
    "identify",
    "iterate_frames",
    "may_fit",
    "read_entries",
    "read_entry",
    "rebuild_state",
]

_MOST_RESETS: Final = 100
NO_HEAD: Final = bytes(32)
"""Stands for the head of a ledger without entries."""


@dataclass(frozen=True, slots=True)
class Consistent:
    """Ledger and state belong together.

    ``state`` also counts an entry that a crash kept out of the state file; ``adopted`` tells
    whether there is one. ``torn`` is the number of bytes after it, to be cut off.
    """

    state: State
    adopted: bool = False
    torn: int = 0


@dataclass(frozen=True, slots=True)
class LedgerEnd:
    """The bytes of a ledger from ``start`` to its end: the last entry, and what is after it."""

    start: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Ledger, state and witness do not belong together; ``message`` is a sentence."""

    kind: Literal["missing", "another", "restored", "damaged"]
    message: str
    other: str = ""
    """If ``kind`` is "another": the state folder that has the store's ledger."""


def check_ledger(site: str, state_file: bytes | None, ledger: bytes | None) -> Consistent | Fault:
    """Compare a state with its ledger; None stands for a file that is not there."""
    if state_file is None or ledger is None:
        name = "ledger" if ledger is None else "state"
        return Fault("missing", f"The {name} is missing.")
    try:
        state = decode_state_file(state_file).state
    except CorruptError as error:
        return Fault("damaged", error.message)
    if state.site != site:
        return Fault("damaged", f"The state belongs to site {state.site}.")
    summary = _summarize(ledger[: state.size])
    is_whole = (
        state.digest == ledger_format.digest(ledger[: state.size])
        if state.digest
        else (state.edge, state.first, state.last) == (summary.edge, summary.first, summary.last)
    )
    if not is_whole or summary.size != state.size or summary.entries != state.entries:
        return _explain_mismatch(site, state, ledger)
    state = replace(state, edge=summary.edge, first=summary.first, last=summary.last, digest=b"")
    return _check_tail(state, ledger[state.size :]) or _explain_tail(state, ledger)


def check_end(site: str, state_file: bytes | None, end: LedgerEnd) -> Consistent | None:
    """Compare a state with the end of its ledger, as a writer that appends does (format §17.5).

    Returns:
        None if they do not fit, or this cannot be told: then all of the ledger must be compared.
    """
    try:
        state = decode_state_file(state_file or b"").state
    except CorruptError:
        return None
    raw = _read_frame(end.data, 0)
    fits = (
        state.site == site
        and bool(state.edge)
        and raw is not None
        and ledger_format.digest(raw) == state.head
        and end.start == state.last
        and state.last + LENGTH_BYTES + len(raw) == state.size
    )
    return _check_tail(state, end.data[state.size - end.start :]) if fits else None


def find_end(state_file: bytes | None) -> int | None:
    """Return where the last entry begins by a state file; None if it does not say so."""
    try:
        state = decode_state_file(state_file or b"").state
    except CorruptError:
        return None
    return state.last if state.edge else None


@dataclass(frozen=True, slots=True)
class _Summary:
    """What follows from the bytes of a ledger, without decoding its entries."""

    entries: int
    size: int
    edge: tuple[bytes, ...]
    first: bytes
    last: int


def _summarize(ledger: bytes) -> _Summary:
    edge: list[bytes] = []
    count, size, first, last = 0, 0, b"", 0
    for at, raw in iterate_frames(ledger):
        tree.push_leaf(edge, count, tree.hash_leaf(raw))
        first = first or ledger_format.digest(raw)
        count, size, last = count + 1, at + LENGTH_BYTES + len(raw), at
    return _Summary(count, size, tuple(edge), first, last)


def check_witness(ledger: bytes, state: State, raw: bytes | None, folder: str = "") -> Fault | None:
    """Compare a witness with the ledger (format §17.6); None: they agree, or ``raw`` is None.

    ``folder`` is the state folder that the ledger is in.
    """
    if raw is None:
        return None
    try:
        witness = ledger_format.decode_witness(raw)
    except CorruptError as error:
        return Fault("damaged", error.message)
    if witness.site != state.site:
        return Fault("damaged", f"The witness belongs to site {witness.site}.")
    if witness.first is not None and witness.first != identify(ledger):
        return _explain_other(witness, folder)
    return _check_length(ledger, state, witness)


def may_fit(state: State, raw: bytes | None) -> bool:
    """Tell whether a witness may be of the ledger with this state, by its end alone."""
    if raw is None:
        return True
    try:
        witness = ledger_format.decode_witness(raw)
    except CorruptError:
        return False
    is_same = witness.site == state.site and witness.first in (None, state.first)
    if witness.entries == state.entries:
        return is_same and witness.head == state.head
    return is_same and witness.entries < state.entries


def fits_replaced(raw: bytes, ledger: bytes, find_aside: Callable[[bytes], bytes | None]) -> bool:
    """Tell whether a witness is of a ledger that this one replaces, and that has its head (§17.7).

    ``find_aside`` returns a ledger that a reset put aside, by the digest of its first entry.
    """
    try:
        witness = ledger_format.decode_witness(raw)
        for _ in range(_MOST_RESETS):
            replaces = ledger_format.decode_entry(read_entry(ledger, 1)).replaces
            old = find_aside(replaces.first) if replaces else None
            if replaces is None or old is None:
                return False
            if witness.first == replaces.first:
                is_old = witness.entries <= replaces.entries
                return is_old and witness.head == _find_head(witness, old)
            ledger = old
    except CorruptError:
        pass
    return False


def _find_head(witness: Witness, ledger: bytes) -> bytes | None:
    """Return the digest of the entry that a witness counts to; None if it is not intact."""
    entries = read_entries(witness.site, ledger)
    found = next(islice(entries, witness.entries - 1, witness.entries), None)
    return ledger_format.digest(found[1]) if found else None


def _check_length(ledger: bytes, state: State, witness: Witness) -> Fault | None:
    if witness.entries > state.entries:
        entries = count_text(witness.entries, "entry", "entries")
        return Fault(
            "restored",
            f"The witness in BentoML's home counts {entries}; the ledger has {state.entries:,}.",
        )
    if ledger_format.digest(read_entry(ledger, witness.entries)) != witness.head:
        return Fault(
            "restored",
            f"Entry {witness.entries} of the ledger is not the one that the witness in BentoML's"
            " home has.",
        )
    return None


def identify(ledger: bytes) -> bytes:
    """Return what no other ledger has: the digest of the first entry (format §17.3)."""
    return ledger_format.digest(read_entry(ledger, 1))


def _explain_other(witness: Witness, folder: str) -> Fault:
    entries = count_text(witness.entries, "entry", "entries")
    if witness.folder == folder:
        return Fault(
            "restored",
            f"The witness in BentoML's home is of another ledger, with {entries}, which was in the"
            " same folder.",
        )
    return Fault(
        "another",
        f"The witness in BentoML's home is of the ledger in {witness.folder}, with {entries}.",
        witness.folder,
    )


def read_entries(site: str, ledger: bytes) -> Iterator[tuple[Entry, bytes]]:
    """Yield the entries, each with its bytes, up to the first that does not fit the one before."""
    at, head = 0, None
    while (raw := _read_frame(ledger, at)) is not None:
        try:
            entry = ledger_format.decode_entry(raw)
        except CorruptError:
            return
        if entry.site != site or (head is not None and entry.previous != head):
            return
        yield entry, raw
        at, head = at + LENGTH_BYTES + len(raw), ledger_format.digest(raw)


def iterate_frames(ledger: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of each entry, and where its length begins, up to one that is cut off."""
    at = 0
    while (raw := _read_frame(ledger, at)) is not None:
        yield at, raw
        at += LENGTH_BYTES + len(raw)


def rebuild_state(site: str, ledger: bytes | None) -> State | None:
    """Return the state that follows from a ledger's intact entries, from the first one on."""
    state: State | None = None
    for entry, raw in read_entries(site, ledger or b""):
        state = ledger_format.next_state(state, entry, raw)
    return state


def read_entry(ledger: bytes, number: int) -> bytes:
    """Return entry ``number``, counted from 1, of a ledger that is known to be intact."""
    at = 0
    for _ in range(number - 1):
        at += LENGTH_BYTES + int.from_bytes(ledger[at : at + LENGTH_BYTES], "big")
    return _read_frame(ledger, at) or b""


def find_entries(ledger: bytes, digest: bytes) -> Iterator[Entry]:
    """Yield the entries of a ledger that is known to be intact in which a digest occurs."""
    at = 0
    while raw := _read_frame(ledger, at):
        if digest in raw:  # decoding every entry would take seconds
            yield ledger_format.decode_entry(raw)
        at += LENGTH_BYTES + len(raw)


def _check_tail(state: State, rest: bytes) -> Consistent | None:
    """Check what a writer that was cut off has left after the bytes that the state counts.

    None: no writer left that.
    """
    if not rest:
        return Consistent(state)
    raw = _read_frame(rest, 0)
    is_complete = raw is not None and len(rest) == LENGTH_BYTES + len(raw)
    if raw is not None and is_complete and _follows(state, raw):
        after = ledger_format.next_state(state, ledger_format.decode_entry(raw), raw)
        return Consistent(after, adopted=True)
    is_longer = raw is not None and not is_complete and _follows(state, raw)
    if len(rest) < FRAME_BYTES and not is_longer:
        return Consistent(state, torn=len(rest))
    return None


def _explain_tail(state: State, ledger: bytes) -> Fault:
    rebuilt = rebuild_state(state.site, ledger)
    if rebuilt is not None and rebuilt.size == len(ledger):
        return Fault(
            "restored",
            f"The ledger has {count_text(rebuilt.entries, 'entry', 'entries')}; the state counts"
            f" {state.entries:,}.",
        )
    return Fault("damaged", f"The ledger is damaged after entry {state.entries}.")


def _explain_mismatch(site: str, state: State, ledger: bytes) -> Fault:
    """Return why a ledger is not the one that the state was written for."""
    if len(ledger) > limits.LEDGER_BYTES:
        return Fault("damaged", f"The ledger has more than {limits.LEDGER_BYTES:,} bytes.")
    rebuilt = rebuild_state(site, ledger)
    if rebuilt is None or rebuilt.size != len(ledger):
        number = 1 if rebuilt is None else rebuilt.entries + 1
        return Fault("damaged", f"The ledger is damaged at entry {number}.")
    return Fault(
        "restored",
        f"The ledger has {count_text(rebuilt.entries, 'entry', 'entries')} and the head"
        f" {rebuilt.head.hex()}; the state belongs to one with {state.entries:,} and"
        f" {state.head.hex()}.",
    )


def _follows(state: State, raw: bytes) -> bool:
    try:
        entry = ledger_format.decode_entry(raw)
    except CorruptError:
        return False
    return entry.previous == state.head and entry.site == state.site


def _read_frame(ledger: bytes, at: int) -> bytes | None:
    """Return the entry whose length is at this offset; None if it is cut off or is not an entry."""
    length = int.from_bytes(ledger[at : at + LENGTH_BYTES], "big")
    raw = ledger[at + LENGTH_BYTES : at + LENGTH_BYTES + length]
    fits = 0 < length <= limits.LEDGER_ENTRY_BYTES and len(raw) == length
    return raw if fits else None
