"""Large files are read side by side: whose turn it is follows from their order (format §12)."""

from collections.abc import Iterator

from airgap.flow.exporting.turns import take_turns


def test_each_sequence_has_its_turn() -> None:
    assert "".join(take_turns(map(iter, ("abc", "123", "xyz")), 3)) == "a1xb2yc3z"


def test_the_next_sequence_takes_the_place_of_one_that_ends() -> None:
    assert "".join(take_turns(map(iter, ("a", "123", "xyz")), 2)) == "a1x2y3z"


def test_an_empty_sequence_takes_no_turn() -> None:
    assert "".join(take_turns(map(iter, ("", "", "ab", "", "12")), 1)) == "ab12"


def test_no_sequence_begins_before_there_is_room_for_it() -> None:
    begun: list[int] = []

    def count_up(number: int) -> Iterator[int]:
        begun.append(number)
        yield from range(3)

    turns = take_turns(map(count_up, range(5)), 2)
    first = [next(turns) for _ in range(6)]

    assert first == [0, 0, 1, 1, 2, 2]
    assert begun == [0, 1]
    assert next(turns) == 0
    assert begun == [0, 1, 2]
