"""How volumes are named to people."""

import pytest

from airgap.flow.media.missing_volumes import MissingVolumes, format_volumes
from airgap.format.volume import Label


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([3], "volume 3"),
        ([2, 5], "volumes 2 and 5"),
        ([1, 2, 3, 5, 6, 7], "volumes 1, 2, 3, 5, 6 and 7"),
        ([*range(4, 501)], "volumes 4 to 500"),
        ([1, 3, *range(5, 13)], "volumes 1, 3 and 5 to 12"),
        ([*range(1, 9), 11, *range(20, 40)], "volumes 1 to 8, 11 and 20 to 39"),
        ([9, 1], "volumes 9 and 1"),
    ],
)
def test_a_long_run_of_volumes_is_written_short(numbers: list[int], text: str) -> None:
    assert format_volumes(numbers) == text


@pytest.mark.parametrize(
    ("packs", "parity", "seen", "unseen"),
    [
        ((1, 0, 2), (0, 1, 0), {1}, [2, 3]),
        ((1, 0, 2), (0, 0, 0), {1}, [3]),
        ((1, 1, 1, 0), (0, 0, 0, 3), {1, 3}, [2, 4]),
    ],
)
def test_each_volume_that_was_not_read_is_counted_if_anything_is_on_it(
    packs: tuple[int, ...], parity: tuple[int, ...], seen: set[int], unseen: list[int]
) -> None:
    labels = [Label("0" * 64, number, packs, parity) for number in sorted(seen)]

    assert MissingVolumes({}, sum(packs), labels).unseen == unseen
