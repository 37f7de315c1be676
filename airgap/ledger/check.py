"""Checks whether ledger, state and witness belong together (format §17.5, §17.6). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from airgap.errors import CorruptError
from airgap.format import ledger as ledger_format
from airgap.format import limits
from airgap.format.ledger import FRAME_BYTES, LENGTH_BYTES, Entry, State, Witness
from airgap.printable import count_text

__all__ = [
    "NO_HEAD",
    "Consistent",
    "Fault",
    "check_ledger",
    "check_witness",
    "find_entries",
    "identify",
    "iterate_frames",
    "read_entries",
    "read_entry",
    "rebuild_state",
]

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
        state = ledger_format.decode_state(state_file)
    except CorruptError as error:
        return Fault("damaged", error.message)
    if state.site != site:
        return Fault("damaged", f"The state belongs to site {state.site}.")
    if ledger_format.digest(ledger[: state.size]) != state.digest:
        return _explain_mismatch(site, state, ledger)
    return _check_tail(state, ledger)


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
    if state is None or ledger is None:
        return None
    return replace(state, digest=ledger_format.digest(ledger[: state.size]))


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


def _check_tail(state: State, ledger: bytes) -> Consistent | Fault:
    """Check what a writer that was cut off has left after the bytes that the state counts."""
    rest = ledger[state.size :]
    if not rest:
        return Consistent(state)
    raw = _read_frame(ledger, state.size)
    is_complete = raw is not None and len(rest) == LENGTH_BYTES + len(raw)
    if raw is not None and is_complete and _follows(state, raw):
        after = ledger_format.next_state(state, ledger_format.decode_entry(raw), raw)
        return Consistent(replace(after, digest=ledger_format.digest(ledger)), adopted=True)
    is_longer = raw is not None and not is_complete and _follows(state, raw)
    if len(rest) < FRAME_BYTES and not is_longer:
        return Consistent(state, torn=len(rest))
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
