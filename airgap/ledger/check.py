"""Whether a ledger and a state belong together (format §17.5). Bytes in, a verdict out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from airgap.errors import CorruptError
from airgap.format import ledger as bytes_of
from airgap.format import limits
from airgap.format.ledger import FRAME_BYTES, LENGTH_BYTES, Entry, State

__all__ = [
    "NO_HEAD",
    "Consistent",
    "Fault",
    "check_ledger",
    "check_witness",
    "read_entries",
    "read_entry",
    "rebuild_state",
]

NO_HEAD: Final = bytes(32)
"""What is told as the head of a ledger without any entry."""


@dataclass(frozen=True, slots=True)
class Consistent:
    """Ledger and state fit. ``state`` counts an entry that a crash kept out of the file.

    ``adopted`` tells whether there is one; ``torn`` how many bytes after it are to be cut off.
    """

    state: State
    adopted: bool = False
    torn: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """They do not fit. ``what`` is a sentence."""

    kind: Literal["missing", "restored", "damaged"]
    what: str


def check_ledger(site: str, state_file: bytes | None, ledger: bytes | None) -> Consistent | Fault:
    """Compare a state with its ledger; None stands for a file that is not there."""
    if state_file is None or ledger is None:
        name = "ledger" if ledger is None else "state"
        return Fault("missing", f"There is no {name}.")
    try:
        state = bytes_of.decode_state(state_file)
    except CorruptError as error:
        return Fault("damaged", error.message)
    if state.site != site:
        return Fault("damaged", f"The state is that of site {state.site}.")
    if bytes_of.digest(ledger[: state.size]) != state.digest:
        return _explain_mismatch(site, state, ledger)
    return _check_tail(state, ledger)


def check_witness(ledger: bytes, state: State, raw: bytes | None) -> Fault | None:
    """Compare a witness with the ledger it saw (format §17.6); None: there is none, all is well."""
    if raw is None:
        return None
    try:
        witness = bytes_of.decode_witness(raw)
    except CorruptError as error:
        return Fault("damaged", error.message)
    if witness.site != state.site:
        return Fault("damaged", f"The witness is that of site {witness.site}.")
    if witness.entries > state.entries:
        return Fault(
            "restored",
            f"BentoML's home has seen {witness.entries} entries; the ledger has {state.entries}.",
        )
    if bytes_of.digest(read_entry(ledger, witness.entries)) != witness.head:
        return Fault(
            "restored",
            f"Entry {witness.entries} is another one than BentoML's home has seen.",
        )
    return None


def read_entries(site: str, ledger: bytes) -> Iterator[tuple[Entry, bytes]]:
    """Yield the entries, each with its bytes, up to the first that does not fit the one before."""
    at, head = 0, None
    while (raw := _read_frame(ledger, at)) is not None:
        try:
            entry = bytes_of.decode_entry(raw)
        except CorruptError:
            return
        if entry.site != site or (head is not None and entry.previous != head):
            return
        yield entry, raw
        at, head = at + LENGTH_BYTES + len(raw), bytes_of.digest(raw)


def rebuild_state(site: str, ledger: bytes | None) -> State | None:
    """Return the state that follows from what is whole of a ledger, from its beginning on."""
    state: State | None = None
    for entry, raw in read_entries(site, ledger or b""):
        state = bytes_of.next_state(state, entry, raw)
    if state is None or ledger is None:
        return None
    return replace(state, digest=bytes_of.digest(ledger[: state.size]))


def read_entry(ledger: bytes, number: int) -> bytes:
    """Return entry ``number``, counted from 1, of a ledger that is known to be whole."""
    at = 0
    for _ in range(number - 1):
        at += LENGTH_BYTES + int.from_bytes(ledger[at : at + LENGTH_BYTES], "big")
    return _read_frame(ledger, at) or b""


def _check_tail(state: State, ledger: bytes) -> Consistent | Fault:
    """Judge what a writer that was cut off has left after the bytes that the state knows of."""
    rest = ledger[state.size :]
    if not rest:
        return Consistent(state)
    raw = _read_frame(ledger, state.size)
    whole = raw is not None and len(rest) == LENGTH_BYTES + len(raw)
    if raw is not None and whole and _follows(state, raw):
        after = bytes_of.next_state(state, bytes_of.decode_entry(raw), raw)
        return Consistent(replace(after, digest=bytes_of.digest(ledger)), adopted=True)
    goes_on = raw is not None and not whole and _follows(state, raw)
    if len(rest) < FRAME_BYTES and not goes_on:
        return Consistent(state, torn=len(rest))
    found = rebuild_state(state.site, ledger)
    if found is not None and found.size == len(ledger):
        return Fault(
            "restored",
            f"The ledger has {found.entries} entries, and the state knows of {state.entries}.",
        )
    return Fault("damaged", f"What follows entry {state.entries} of the ledger is damaged.")


def _explain_mismatch(site: str, state: State, ledger: bytes) -> Fault:
    """Say why a ledger is not the one that the state was written for."""
    if len(ledger) > limits.LEDGER_BYTES:
        return Fault("damaged", f"The ledger has more than {limits.LEDGER_BYTES:,} bytes.")
    found = rebuild_state(site, ledger)
    if found is None or found.size != len(ledger):
        number = 1 if found is None else found.entries + 1
        return Fault("damaged", f"The ledger is damaged at entry {number}.")
    return Fault(
        "restored",
        f"The ledger has {found.entries} entries and the head {found.head.hex()[:16]}…; the state"
        f" belongs to one with {state.entries} and {state.head.hex()[:16]}….",
    )


def _follows(state: State, raw: bytes) -> bool:
    try:
        entry = bytes_of.decode_entry(raw)
    except CorruptError:
        return False
    return entry.previous == state.head and entry.site == state.site


def _read_frame(ledger: bytes, at: int) -> bytes | None:
    """Return the entry whose length is at this offset, or None: it is cut off, or no entry."""
    length = int.from_bytes(ledger[at : at + LENGTH_BYTES], "big")
    raw = ledger[at + LENGTH_BYTES : at + LENGTH_BYTES + length]
    fits = 0 < length <= limits.LEDGER_ENTRY_BYTES and len(raw) == length
    return raw if fits else None
