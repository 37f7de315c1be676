"""Which packs a check reads (format §36.3)."""

import hashlib
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from airgap.flow.archive.choose_packs import EarlierChecks, ShardPacks, choose_packs
from airgap.format.check_result import PackSample
from airgap.format.shard import WHOLE, Shard

A, B = b"a" * 32, b"b" * 32


@dataclass(frozen=True)
class Pack:
    digest: bytes
    size: int = 10


def digests(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


def gather(count: int, shard: Shard = WHOLE, earlier: EarlierChecks | None = None) -> ShardPacks:
    packs = ShardPacks(shard)
    packs.add_bundle(A, map(Pack, digests(count)), earlier or EarlierChecks())  # type: ignore[arg-type]
    return packs


def test_without_a_sample_all_are_read_in_order() -> None:
    assert choose_packs(gather(50), None, "") == sorted(digests(50))


@given(st.integers(1, 1_000_000), st.integers(0, 60))
def test_a_sample_has_its_part_rounded_up(parts: int, count: int) -> None:
    chosen = choose_packs(gather(count), PackSample(parts, "s"), "")

    assert len(chosen) == -(-count * parts // 1_000_000)
    assert chosen == sorted(set(chosen))


def test_another_seed_is_another_sample() -> None:
    one, same, other = (
        choose_packs(gather(200), PackSample(100_000, s), "") for s in ("a", "a", "b")
    )

    assert one == same != other


def test_samples_without_end_read_everything() -> None:
    earlier, read = EarlierChecks(), set[bytes]()
    for day in range(1, 11):
        packs = gather(100, earlier=earlier)
        chosen = choose_packs(packs, PackSample(100_000, f"day {day}"), "")
        earlier.add_sample(chosen, f"2031-05-{day:02}T00:00:00Z")
        read.update(chosen)

    assert len(read) == 100


def test_what_was_read_since_is_left_out_and_what_failed_is_not() -> None:
    earlier, packs = EarlierChecks(), digests(10)
    earlier.add_whole([A], Shard(1, 2), "2031-05-02T00:00:00Z")
    bad = next(pack for pack in packs if Shard(1, 2).takes(pack))
    earlier.add_failed([bad], "2031-05-02T00:00:00Z")

    everything = PackSample(1_000_000, "s")
    chosen = choose_packs(gather(10, earlier=earlier), everything, "2031-05-01T00:00:00Z")

    assert set(chosen) == {pack for pack in packs if Shard(2, 2).takes(pack)} | {bad}
    late = choose_packs(gather(10, earlier=earlier), everything, "2031-05-03T00:00:00Z")
    assert late == sorted(packs)


def test_what_was_read_counts_only_for_bundles_that_were_there() -> None:
    earlier = EarlierChecks()
    earlier.add_whole([B], WHOLE, "2031-05-02T00:00:00Z")

    assert earlier.find_time(B, digests(1)[0]) == "2031-05-02T00:00:00Z"
    assert earlier.find_time(A, digests(1)[0]) == ""


def test_a_pack_of_several_bundles_is_there_once_and_two_sizes_are_told() -> None:
    packs = gather(5)

    assert packs.add_bundle(B, [Pack(digests(1)[0]), Pack(B)], EarlierChecks()) == []  # type: ignore[list-item]
    assert packs.add_bundle(B, [Pack(B, 11)], EarlierChecks()) == [B]  # type: ignore[list-item]
    assert len(packs.sizes) == 6


def test_a_plan_of_ten_thousand_bundles_keeps_each_pack_once() -> None:
    """Memory is by packs of the shard, and not by bundles."""
    packs, names = ShardPacks(Shard(1, 4)), [Pack(digest) for digest in digests(100)]
    for number in range(1000):
        packs.add_bundle(b"%032d" % number, names, EarlierChecks())  # type: ignore[arg-type]

    assert set(packs.sizes) == {one.digest for one in names if Shard(1, 4).takes(one.digest)}
