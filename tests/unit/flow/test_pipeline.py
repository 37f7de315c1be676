"""Work on many things at once: in order, bounded, and ended by the first error."""

import threading
from collections.abc import Iterator

import pytest

from airgap.flow import pipeline
from airgap.flow.workers import Workers


@pytest.mark.parametrize("jobs", [1, 4])
def test_results_come_in_order(jobs: int) -> None:
    with pipeline.run_workers(jobs) as pool:
        found = list(pipeline.map_in_order(pool, lambda number: number * 2, range(100), 7))

    assert found == [number * 2 for number in range(100)]


def test_things_are_not_taken_before_they_are_needed() -> None:
    taken: list[int] = []

    def things() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with pipeline.run_workers(2) as pool:
        results = pipeline.map_in_order(pool, str, things(), 5)
        next(results)

        assert len(taken) == 5


def test_an_error_ends_the_work() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    found: list[int] = []
    with pipeline.run_workers(2) as pool, pytest.raises(ValueError, match="three"):
        found.extend(pipeline.map_in_order(pool, work, range(10), 4))

    assert found == [0, 1, 2]


def test_what_has_not_begun_is_dropped_after_an_error() -> None:
    hold = threading.Event()
    done: list[int] = []

    def work(number: int) -> None:
        hold.wait(10)
        done.append(number)

    def begin(pool: Workers) -> None:
        for number in range(50):
            pool.submit(work, number)
        hold.set()
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), pipeline.run_workers(1) as pool:
        begin(pool)

    assert len(done) < 50


@pytest.mark.parametrize(("jobs", "most"), [(1, 3), (2, 6), (64, 8)])
def test_what_is_under_way_is_bounded_whatever_the_threads(jobs: int, most: int) -> None:
    assert pipeline.limit_ahead(jobs) == most


def test_what_is_quick_is_done_at_once_and_keeps_its_place() -> None:
    threads: dict[int, str] = {}

    def work(number: int) -> int:
        threads[number] = threading.current_thread().name
        return number

    with pipeline.run_workers(2) as pool:
        done = list(
            pipeline.map_in_order(pool, work, range(50), 4, quick=lambda number: number % 2 == 0)
        )

    assert done == list(range(50))
    here = threading.current_thread().name
    assert all((threads[number] == here) == (number % 2 == 0) for number in range(50))


def test_a_lane_does_things_in_their_order() -> None:
    done: list[int] = []

    with pipeline.serial_executor() as lane:
        for number in range(100):
            lane.submit(done.append, number)

    assert done == list(range(100))


def test_what_a_lane_raised_is_raised_where_things_are_handed_over() -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise ValueError("three")

    def hand_over() -> None:
        with pipeline.serial_executor() as lane:
            for number in range(5):
                lane.submit(fail, number)

    with pytest.raises(ValueError, match="three"):
        hand_over()


def test_there_is_at_least_one_processor() -> None:
    assert pipeline.default_jobs() >= 1
