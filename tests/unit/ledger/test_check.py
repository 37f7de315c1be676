"""Any damage to ledger, state or witness is seen, or changes nothing (format §17.5, §17.6)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from airgap.errors import CorruptError
from airgap.format import ledger as ledger_format
from airgap.format.ledger import ChannelState, Entry, State, Witness
from airgap.ledger.check import (
    Consistent,
    Fault,
    check_ledger,
    check_witness,
    identify,
    read_entries,
    rebuild_state,
)

BEGUN = Entry("ward", "begun", at=9, floor=5, root=1, previous=b"\x07" * 32)
NEWS = [
    replace(BEGUN, event="imported", bundle=bytes([n]) * 32, channel="nightly", sequence=n, at=n)
    for n in range(1, 5)
]


@dataclass(frozen=True)
class Memory:
    """A ledger and all the states it had, the first one after its first entry."""

    ledger: bytes
    states: tuple[State, ...]

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def file(self) -> bytes:
        return ledger_format.encode_state(self.state)


def memory(*entries: Entry) -> Memory:
    ledger, state, states = b"", None, []
    for entry in entries:
        raw = ledger_format.encode_entry(replace(entry, previous=state.head) if state else entry)
        ledger += ledger_format.frame(raw)
        state = ledger_format.next_state(state, entry, raw)
        states.append(state)
    return Memory(ledger, tuple(states))


GOOD = memory(BEGUN, *NEWS)


def damaged(raw: bytes) -> Iterator[bytes]:
    """Every byte flipped in one bit and in all, cut off at every place, and longer."""
    for at in range(len(raw)):
        for mask in (1, 0x80, 0xFF):
            yield raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :]
        yield raw[:at]
    for more in (b"\0", b"\0" * 8, raw[-4:], raw):
        yield raw + more
        yield more + raw


def test_what_was_written_is_whole() -> None:
    found = check_ledger("ward", GOOD.file, GOOD.ledger)

    assert found == Consistent(GOOD.state)
    assert GOOD.state.channels == {"nightly": ChannelState(4, bytes([4]) * 32, 1)}
    assert rebuild_state("ward", GOOD.ledger) == GOOD.state


def test_a_state_that_was_changed_in_any_byte_is_seen() -> None:
    for raw in damaged(GOOD.file):
        found = check_ledger("ward", raw, GOOD.ledger)
        assert isinstance(found, Fault), raw
        assert found.kind == "damaged"


def test_a_ledger_that_was_changed_in_any_byte_is_seen_or_loses_only_what_is_too_much() -> None:
    for raw in damaged(GOOD.ledger):
        found = check_ledger("ward", GOOD.file, raw)
        if isinstance(found, Consistent):
            assert raw.startswith(GOOD.ledger)
            assert found == Consistent(GOOD.state, torn=len(raw) - len(GOOD.ledger))
        else:
            assert found.message


@pytest.mark.parametrize("more", [1, 2, 2**53 - 1 - GOOD.state.entries])
def test_a_witness_of_entries_that_are_not_there_is_seen_without_counting_to_them(
    more: int,
) -> None:
    head = ledger_format.digest(b"")  # what an entry that is not there would digest to
    raw = ledger_format.encode_witness(Witness("ward", GOOD.state.entries + more, head))

    trouble = check_witness(GOOD.ledger, GOOD.state, raw)

    assert trouble is not None
    assert trouble.kind == "restored"


def test_a_witness_that_was_changed_in_any_byte_is_seen() -> None:
    for state in GOOD.states:
        witness = ledger_format.encode_witness(Witness("ward", state.entries, state.head))
        assert check_witness(GOOD.ledger, GOOD.state, witness) is None
        for raw in damaged(witness):
            assert check_witness(GOOD.ledger, GOOD.state, raw) is not None


def test_a_witness_knows_its_ledger_by_the_first_entry_and_not_by_the_path() -> None:
    first = identify(GOOD.ledger)
    own = Witness("ward", GOOD.state.entries, GOOD.state.head, first, "/home/a/.airgap")
    other = replace(own, first=bytes(32))

    raw, other_raw = ledger_format.encode_witness(own), ledger_format.encode_witness(other)
    assert check_witness(GOOD.ledger, GOOD.state, raw, "/srv/airgap") is None
    assert all(
        check_witness(GOOD.ledger, GOOD.state, bad, "/srv/airgap") is not None
        for bad in damaged(raw)
    )
    for folder, kind in (("/srv/airgap", "another"), ("/home/a/.airgap", "restored")):
        fault = check_witness(GOOD.ledger, GOOD.state, other_raw, folder)
        assert fault is not None
        assert fault.kind == kind


@pytest.mark.parametrize("folder", ["x" * 901, "a\nb"])
def test_a_witness_with_a_folder_that_is_not_one_line_is_damaged(folder: str) -> None:
    raw = ledger_format.encode_witness(Witness("ward", 1, bytes(32), bytes(32), folder))
    with pytest.raises(CorruptError, match="invalid folder"):
        ledger_format.decode_witness(raw)


@pytest.mark.parametrize("size", range(1, 190, 7))
def test_an_entry_that_was_cut_off_was_never_there(size: int) -> None:
    before = memory(BEGUN, *NEWS[:3])
    torn = GOOD.ledger[: before.state.size + size]

    found = check_ledger("ward", before.file, torn)

    assert found == Consistent(before.state, torn=size)


def test_zeros_that_a_power_cut_left_are_no_entry() -> None:
    assert check_ledger("ward", GOOD.file, GOOD.ledger + bytes(400)) == Consistent(
        GOOD.state, torn=400
    )


def test_an_entry_that_the_state_does_not_know_of_counts() -> None:
    before = memory(BEGUN, *NEWS[:3])

    assert check_ledger("ward", before.file, GOOD.ledger) == Consistent(GOOD.state, adopted=True)


def test_two_entries_that_the_state_does_not_know_of_are_no_crash() -> None:
    before = memory(BEGUN, *NEWS[:2])

    found = check_ledger("ward", before.file, GOOD.ledger)

    assert isinstance(found, Fault)
    assert found.kind == "restored"


def test_an_entry_that_does_not_follow_does_not_count() -> None:
    stranger = ledger_format.frame(ledger_format.encode_entry(replace(NEWS[0], sequence=99)))

    found = check_ledger("ward", GOOD.file, GOOD.ledger + stranger)

    assert found == Consistent(GOOD.state, torn=len(stranger))


def test_an_entry_of_another_site_does_not_count() -> None:
    other = replace(NEWS[0], site="attic", sequence=99, previous=GOOD.state.head)

    found = check_ledger(
        "ward", GOOD.file, GOOD.ledger + ledger_format.frame(ledger_format.encode_entry(other))
    )

    assert isinstance(found, Consistent)
    assert (found.state, found.adopted) == (GOOD.state, False)


def test_more_than_an_entry_can_be_is_damage() -> None:
    found = check_ledger("ward", GOOD.file, GOOD.ledger + b"\xff" * ledger_format.FRAME_BYTES)

    assert isinstance(found, Fault)
    assert found.kind == "damaged"


def test_the_memory_of_another_site_is_not_this_ones() -> None:
    found = check_ledger("attic", GOOD.file, GOOD.ledger)

    assert isinstance(found, Fault)
    assert rebuild_state("attic", GOOD.ledger) is None


def test_two_ledgers_that_say_the_same_share_no_entry_by_their_first_ones() -> None:
    other = memory(replace(BEGUN, previous=b"\x08" * 32), *NEWS)

    heads = {one.head for one in (*GOOD.states, *other.states)}

    assert len(heads) == 10
    seen = ledger_format.encode_witness(Witness("ward", 3, other.states[2].head))
    assert check_witness(GOOD.ledger, GOOD.state, seen) is not None


def test_reading_ends_before_the_first_entry_that_does_not_fit() -> None:
    cut = GOOD.states[2].size
    raw = GOOD.ledger[:cut] + GOOD.ledger[: GOOD.states[0].size] + GOOD.ledger[cut:]

    assert len(list(read_entries("ward", raw))) == 3


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"event": "lost"}, id="unknown event"),
        pytest.param({"note": "two\nlines"}, id="a note of two lines"),
        pytest.param({"note": "x" * 1001}, id="a long note"),
        pytest.param({"channel": "No Name"}, id="a channel that is no name"),
        pytest.param({"site": ""}, id="no site"),
        pytest.param({"previous": b"short"}, id="a short digest"),
        pytest.param({"sequence": 2**53 - 1, "bundle": b""}, id="no bundle"),
    ],
)
def test_an_entry_is_read_strictly(fields: dict[str, object]) -> None:
    raw = ledger_format.encode_entry(replace(NEWS[0], **fields))  # type: ignore[arg-type]

    with pytest.raises(CorruptError):
        ledger_format.decode_entry(raw)


def test_a_refusal_moves_no_channel() -> None:
    refused = replace(NEWS[3], event="refused", sequence=9)

    assert memory(BEGUN, NEWS[0], refused).state.last_sequence("nightly") == 1


def test_the_floor_only_rises() -> None:
    floors = [memory(BEGUN, *(replace(NEWS[0], floor=one) for one in (9, 2)))]

    assert [one.state.floor for one in floors] == [9]
