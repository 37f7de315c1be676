"""A state is written beside the one before, which a torn write leaves as it was (format §17.4)."""

from dataclasses import replace

import pytest

from airgap.errors import CorruptError
from airgap.format import canonical
from airgap.format import ledger as ledger_format
from airgap.format.ledger import ChannelState, Entry, State
from airgap.ledger.check import Consistent, Fault, LedgerEnd, check_end, check_ledger, find_end
from airgap.ledger.state_file import decode_state_file, encode_state_file

BEGUN = Entry("ward", "begun", at=9, floor=5, root=1, previous=b"\x07" * 32)


def grow(count: int) -> tuple[bytes, list[State]]:
    """Return a ledger with so many entries, and all the states that it had."""
    ledger, states = b"", []
    state: State | None = None
    for number in range(count):
        entry = replace(BEGUN, event="imported", channel="nightly", sequence=number)
        entry = replace(entry, bundle=bytes(32), previous=state.head if state else bytes(32))
        raw = ledger_format.encode_entry(entry if state else BEGUN)
        state = ledger_format.next_state(state, entry, raw)
        ledger += ledger_format.frame(raw)
        states.append(state)
    return ledger, states


LEDGER, STATES = grow(5)


def write(file: bytes, state: State, *, torn: int | None = None) -> bytes:
    """Write a state into a file, or only the first ``torn`` bytes of it."""
    slot = decode_state_file(file).make_slot(state)
    assert slot is not None
    data = slot.data[:torn]
    return file[: slot.offset] + data + file[slot.offset + len(data) :]


def make_file() -> bytes:
    file = encode_state_file(STATES[0])
    for state in STATES[1:]:
        file = write(file, state)
    return file


def test_the_newest_state_counts() -> None:
    file = make_file()
    assert len(file) % 4096 == 0
    assert decode_state_file(file).state == STATES[-1]
    assert check_ledger("ward", file, LEDGER) == Consistent(STATES[-1])


@pytest.mark.parametrize("torn", [0, 1, 4, 40, 200, 300])
def test_a_torn_write_leaves_the_state_before_and_its_entry_counts(torn: int) -> None:
    file = encode_state_file(STATES[0])
    for state in STATES[1:-1]:
        file = write(file, state)
    file = write(file, STATES[-1], torn=torn)

    assert decode_state_file(file).state == STATES[-2]
    assert check_ledger("ward", file, LEDGER) == Consistent(STATES[-1], adopted=True)
    after = write(file, STATES[-1])
    assert check_ledger("ward", after, LEDGER) == Consistent(STATES[-1])


def test_a_file_in_which_no_state_can_be_read_is_damaged() -> None:
    file = make_file()
    for size in (0, 16, 20, 4096, 4200):
        with pytest.raises(CorruptError):
            decode_state_file(file[:size])
    places = bytearray(file)
    for place in (4096, 4096 * 2):
        places[place + 50] ^= 1
    with pytest.raises(CorruptError):
        decode_state_file(bytes(places))
    fault = check_ledger("ward", bytes(places), LEDGER)
    assert isinstance(fault, Fault)
    assert fault.kind == "damaged"


def test_a_state_that_does_not_fit_needs_a_new_file() -> None:
    channels = {f"c{number}": ChannelState(1, bytes(32), 1) for number in range(200)}
    large = replace(STATES[-1], channels=channels)
    assert decode_state_file(make_file()).make_slot(large) is None
    assert decode_state_file(encode_state_file(large)).state == large


def make_old_file(state: State, ledger: bytes) -> bytes:
    """Return a state file as older versions wrote it."""
    body = canonical.encode(
        {
            "channels": {
                name: {"bundle": last.bundle, "root": last.root, "sequence": last.sequence}
                for name, last in state.channels.items()
            },
            "digest": ledger_format.digest(ledger[: state.size]),
            "entries": state.entries,
            "floor": state.floor,
            "format": 1,
            "hash": "sha256",
            "head": state.head,
            "site": state.site,
            "size": state.size,
        }
    )
    return ledger_format.digest(body) + body


def test_a_state_of_an_older_version_is_read_and_replaced() -> None:
    old = make_old_file(STATES[-1], LEDGER)

    assert check_ledger("ward", old, LEDGER) == Consistent(STATES[-1])
    assert check_ledger("ward", make_old_file(STATES[-2], LEDGER), LEDGER) == Consistent(
        STATES[-1], adopted=True
    )
    assert find_end(old) is None
    assert decode_state_file(old).make_slot(STATES[-1]) is None
    fault = check_ledger("ward", old, LEDGER[:20] + b"x" + LEDGER[21:])
    assert isinstance(fault, Fault)


def test_the_end_alone_shows_what_is_missing_or_more() -> None:
    file, state = make_file(), STATES[-1]
    assert find_end(file) == state.last
    end = LEDGER[state.last :]
    assert check_end("ward", file, LedgerEnd(state.last, end)) == Consistent(state)
    assert check_end("attic", file, LedgerEnd(state.last, end)) is None
    assert check_end("ward", b"", LedgerEnd(state.last, end)) is None
    assert find_end(b"") is None
    assert check_end("ward", file, LedgerEnd(state.last, end[:-1])) is None
    assert check_end("ward", file, LedgerEnd(state.last, end[:-9] + b"x" + end[-8:])) is None
    assert check_end("ward", file, LedgerEnd(state.last, end + b"abc")) == Consistent(state, torn=3)
    before = write(encode_state_file(STATES[-3]), STATES[-2])
    last = LEDGER[STATES[-2].last :]
    adopted = check_end("ward", before, LedgerEnd(STATES[-2].last, last))
    assert adopted == Consistent(state, adopted=True)


@pytest.mark.parametrize(
    "changes", [{"edge": (bytes(32),) * 3}, {"first": bytes(32)}, {"last": 7}, {"entries": 6}]
)
def test_a_state_that_does_not_follow_from_the_ledger_is_seen(changes: dict[str, object]) -> None:
    wrong = encode_state_file(replace(STATES[-1], **changes))  # type: ignore[arg-type]
    assert isinstance(check_ledger("ward", wrong, LEDGER), Fault)
