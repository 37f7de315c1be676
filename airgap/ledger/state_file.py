"""The file with a ledger's state: two places, of which one is written at a time (format §17.4)."""

from dataclasses import dataclass
from typing import Final

from airgap.errors import CorruptError
from airgap.format import ledger as ledger_format
from airgap.format import limits
from airgap.format.ledger import State

__all__ = ["STATE_FILE_BYTES", "Slot", "StateFile", "decode_state_file", "encode_state_file"]

_MAGIC: Final = b"airgap state 2\n\0"
_BLOCK: Final = 4096
_LENGTH: Final = 4
STATE_FILE_BYTES: Final = _BLOCK + 4 * limits.STATE_BYTES
"""The longest file; a state has at most 1 MiB."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a state: where it begins in the file, and what is to be written there."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StateFile:
    """What a state file has: the newest state that can be read, and which place it is in.

    ``length`` is that of a place; 0: the file has only one state, and must be replaced.
    """

    state: State
    place: int = 0
    length: int = 0

    def make_slot(self, state: State) -> Slot | None:
        """Return where a new state goes: into the other place; None if that is too small."""
        raw = _frame(state)
        if len(raw) > self.length:
            return None
        return Slot(_BLOCK + (1 - self.place) * self.length, raw)


def encode_state_file(state: State) -> bytes:
    """Return a new file with a state in its first place, and nothing in the other one."""
    raw = _frame(state)
    length = -(-len(raw) * 3 // 2 // _BLOCK) * _BLOCK  # with room for some more channels
    head = _MAGIC + length.to_bytes(_LENGTH, "big")
    return head.ljust(_BLOCK, b"\0") + raw.ljust(2 * length, b"\0")


def decode_state_file(raw: bytes) -> StateFile:
    """Read a state file, of this or of the first form.

    Raises:
        CorruptError: it has no state that can be read.
    """
    if not raw.startswith(_MAGIC):
        return StateFile(ledger_format.decode_state(raw))
    start = len(_MAGIC)
    length = int.from_bytes(raw[start : start + _LENGTH], "big")
    found: StateFile | None = None
    problem: CorruptError | None = None
    for place in (0, 1):
        at = _BLOCK + place * length
        end = at + _LENGTH + int.from_bytes(raw[at : at + _LENGTH], "big")
        try:
            state = ledger_format.decode_state(raw[at + _LENGTH : min(end, at + length)])
        except CorruptError as error:
            problem = problem or error
            continue
        if found is None or state.entries > found.state.entries:
            found = StateFile(state, place, length)
    if found is None:
        raise problem or CorruptError("The state is damaged.", "It was damaged on this disk.")
    return found


def _frame(state: State) -> bytes:
    raw = ledger_format.encode_state(state)
    return len(raw).to_bytes(_LENGTH, "big") + raw
