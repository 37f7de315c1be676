"""Which packs go on which volume (flow/media/plan.py, and the groups of flow/media/parity.py)."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airgap.errors import MissingError, StorageError, UsageError
from airgap.flow.media import plan
from airgap.flow.media.parity import Draft, draft_groups, measure_longest
from airgap.flow.media.plan import Part
from airgap.format import limits
from airgap.format.manifest import Pack

MB = 10**6


def packs_of(*sizes: int) -> list[Pack]:
    return [Pack(number.to_bytes(32, "big"), size, ()) for number, size in enumerate(sizes)]


def used(part: Part, packs: Sequence[Pack], groups: Sequence[Draft]) -> int:
    """What a volume's packs and parity packs take up."""
    held = sum(plan.cost(packs[one].size) for one in part.packs)
    return held + sum(
        plan.cost(measure_longest(packs, groups[group][0])) for group, _ in part.parity
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4 * 10**9),
        ("4GiB", 4 * 2**30),
        ("4gib", 4 * 2**30),
        ("700M", 700 * MB),
        ("700MB", 700 * MB),
        ("123", 123),
        ("123B", 123),
        ("2T", 2 * 10**12),
        ("DVD", 4_700_000_000),
        ("bd25", 25_025_314_816),
        ("FAT32", 2**32 - 1),
    ],
)
def test_sizes_are_read_as_media_are_sold(text: str, size: int) -> None:
    assert plan.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "4 G", "-1G", "4.5G", "4X", "1e9", "٤G", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        plan.parse_size(text)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, limits.PACK_BYTES), min_size=1, max_size=60),
    room=st.integers(80 * MB, 500 * MB),
    percent=st.sampled_from([0, 5, 10, 20, 100]),
)
def test_every_pack_is_on_one_volume_in_order_and_none_is_overfilled(
    sizes: list[int], room: int, percent: int
) -> None:
    packs = packs_of(*sizes)
    groups = draft_groups(packs, percent)

    parts = plan.plan(packs, groups, lambda count: [room] * count)

    assert [one for part in parts for one in part.packs] == list(range(len(packs)))
    rows = [row for part in parts for row in part.parity]
    assert sorted(rows) == [
        (group, row) for group, (_, count) in enumerate(groups) for row in range(count)
    ]
    assert all(used(part, packs, groups) <= room for part in parts)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, limits.PACK_BYTES), min_size=1, max_size=60),
    room=st.integers(80 * MB, 500 * MB),
    percent=st.sampled_from([5, 20, 50]),
)
def test_a_set_survives_the_loss_of_any_volume_only_if_each_group_does(
    sizes: list[int], room: int, percent: int
) -> None:
    packs = packs_of(*sizes)
    groups = draft_groups(packs, percent)
    parts = plan.plan(packs, groups, lambda count: [room] * count)

    losses = []
    for part in parts:
        for number, (members, rows) in enumerate(groups):
            left = rows - sum(group == number for group, _ in part.parity)
            losses.append(left >= sum(one in part.packs for one in members))

    assert plan.survives(parts, groups) == (all(losses) and len(parts) > 1)


@given(
    sizes=st.lists(st.integers(1, limits.PACK_BYTES), min_size=1, max_size=400),
    percent=st.integers(1, 100),
)
@settings(max_examples=25, deadline=None)
def test_every_pack_is_in_one_group_of_its_own_size_with_its_share_of_parity(
    sizes: list[int], percent: int
) -> None:
    packs = packs_of(*sizes)

    groups = draft_groups(packs, percent)

    members = Counter(one for group, _ in groups for one in group)
    assert members == Counter(range(len(packs)))
    for group, rows in groups:
        assert list(group) == sorted(group)
        assert 2 * min(packs[one].size for one in group) > measure_longest(packs, group) // 2
        assert len(group) * percent <= 100 * rows < len(group) * percent + 100
        assert max(len(group), rows) <= limits.GROUP_PACKS


def test_neighbours_are_in_different_groups_where_there_are_several() -> None:
    groups = draft_groups(packs_of(*[64 * MB] * 250), 10)

    assert [group[:3] for group, _ in groups] == [(0, 3, 6), (1, 4, 7), (2, 5, 8)]


def test_without_parity_volumes_are_filled_one_after_the_other() -> None:
    packs = packs_of(*[60 * MB] * 5)

    parts = plan.plan(packs, [], lambda count: [130 * MB] * count)

    assert [len(part.packs) for part in parts] == [2, 2, 1]


def test_with_parity_volumes_are_filled_evenly() -> None:
    packs = packs_of(*[60 * MB] * 9)

    parts = plan.plan(packs, draft_groups(packs, 10), lambda count: [260 * MB] * count)

    assert [len(part.packs) for part in parts] == [3, 3, 3]


@pytest.mark.parametrize("rooms", [lambda _: [MB], lambda _: None])
def test_media_that_cannot_hold_it_are_refused(rooms: object) -> None:
    with pytest.raises(StorageError, match="too small or too few"):
        plan.plan(packs_of(60 * MB), [], rooms)  # type: ignore[arg-type]  # either will do


@pytest.mark.parametrize("percent", [0, 10, 50, 100])
@pytest.mark.parametrize("sizes", [[60], [34] * 4 + [14], [1, 2, 4, 8, 16, 32], [33, 9] * 8])
def test_the_least_size_that_is_named_works_and_less_does_not(
    sizes: list[int], percent: int
) -> None:
    packs = packs_of(*[size * MB for size in sizes])
    groups = draft_groups(packs, percent)

    def resize(size: int) -> Callable[[int], list[int]]:
        return lambda count: [max(plan.usable(size), 0)] * count

    with pytest.raises(StorageError) as refused:
        plan.plan(packs, groups, resize(MB), resize)

    match = re.fullmatch(r"The least size that works is --volume-size (\d+M)\.", refused.value.hint)
    assert match
    least = plan.parse_size(match[1])
    assert plan.plan(packs, groups, resize(least))
    with pytest.raises(StorageError):
        plan.plan(packs, groups, resize(least * 50 // 51 - MB))


def test_mounted_media_that_are_too_small_are_not_told_a_size() -> None:
    with pytest.raises(StorageError) as refused:
        plan.plan(packs_of(60 * MB), [], lambda _: [MB])

    assert refused.value.hint == "Give larger media, or more of them."
    assert "bytes" not in refused.value.message


def test_folders_of_one_file_system_share_what_is_free(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    one, (first, second) = (
        plan.measure_free_space([tmp_path / "a"])[0],
        plan.measure_free_space([tmp_path / "a", tmp_path / "b"]),
    )

    assert abs(first - second) < 64 * MB
    assert abs(first + second - one) < 64 * MB


def test_a_medium_that_is_not_mounted_is_missed(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        plan.measure_free_space([tmp_path / "nothing"])
