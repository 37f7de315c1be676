"""Which bundle is the newest: a number counts within its channel only (format §8)."""

import pytest

from airgap.format.newest import Age, choose_newest, newest_first

OLD_BUT_HIGH = Age("a" * 64, "weekly", 90, 100)
NEW_BUT_LOW = Age("b" * 64, "nightly", 3, 300)
SECOND = Age("c" * 64, "nightly", 2, 900)
LOOSE = Age("d" * 64, "default", 0, 200)
PART = Age("0" * 64, "nightly", 0, 1000, is_part=True)


def same(age: Age) -> Age:
    return age


def test_a_number_is_not_compared_with_another_channels() -> None:
    assert choose_newest([OLD_BUT_HIGH, NEW_BUT_LOW, LOOSE], same) == NEW_BUT_LOW


def test_within_a_channel_the_number_decides() -> None:
    assert choose_newest([SECOND, NEW_BUT_LOW], same) == NEW_BUT_LOW


def test_a_list_takes_the_newest_again_and_again() -> None:
    ages = [LOOSE, SECOND, PART, OLD_BUT_HIGH, NEW_BUT_LOW]
    rest, order = list(ages), []
    while rest:
        newest = choose_newest(rest, same)
        assert newest
        order.append(newest)
        rest.remove(newest)

    assert newest_first(ages, same) == order == [NEW_BUT_LOW, SECOND, LOOSE, OLD_BUT_HIGH, PART]


def test_a_bundle_that_completes_another_is_never_newer() -> None:
    assert choose_newest([PART, LOOSE], same) == LOOSE
    assert choose_newest([PART], same) == PART


@pytest.mark.parametrize("channel", ["weekly", "nightly"])
def test_the_lowest_id_decides_in_the_end(channel: str) -> None:
    one, other = Age("1" * 64, "weekly", 1, 5), Age("2" * 64, channel, 1, 5)

    assert choose_newest([other, one], same) == one
    assert newest_first([other, one], same) == [one, other]


def test_nothing_has_no_newest() -> None:
    assert choose_newest([], same) is None
    assert newest_first([], same) == []
