"""How volumes are named to people."""

import pytest

from airgap.flow.media.missing_volumes import format_volumes


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
