"""Connections side by side, which can be stopped."""

import threading
from collections.abc import Iterator

import pytest

from airgap.errors import MissingError
from airgap.transport.connections import ConnectionPool, StoppedError
from airgap.transport.port import Transport
from tests.servers.memory import MemoryTransport, Shop


@pytest.fixture
def shop() -> Shop:
    """A server with a file."""
    return Shop({"there": b"12345"})


@pytest.fixture
def lanes(shop: Shop) -> Iterator[ConnectionPool[int | None]]:
    """Three connections to it."""
    made: ConnectionPool[int | None] = ConnectionPool(MemoryTransport(shop), 3)
    yield made
    made.close()


def test_work_is_done_and_its_result_comes_back(lanes: ConnectionPool[int | None]) -> None:
    assert lanes.submit(lambda one: one.size("there")).result() == 5


def test_errors_come_back(lanes: ConnectionPool[int | None]) -> None:
    with pytest.raises(MissingError):
        lanes.submit(lambda one: one.get("gone", len)).result()
    assert lanes.submit(lambda one: one.size("there")).result() == 5


def test_as_many_are_at_work_as_there_are_lanes(lanes: ConnectionPool[int | None]) -> None:
    together = threading.Barrier(3, timeout=20)
    seen: set[int] = set()

    def meet(one: Transport) -> None:
        together.wait()
        seen.add(id(one))

    for future in [lanes.submit(meet) for _ in range(3)]:
        future.result()

    assert len(seen) == 3


def test_no_more_connections_than_work(lanes: ConnectionPool[int | None], shop: Shop) -> None:
    before = shop.connections

    lanes.submit(lambda one: one.size("there")).result()

    assert shop.connections == before + 1


def test_closing_stops_work_that_asks(lanes: ConnectionPool[int | None]) -> None:
    begun = threading.Event()

    def work(_: Transport) -> None:
        begun.set()
        lanes.wait(1000)

    future = lanes.submit(work)
    begun.wait()
    lanes.close()

    with pytest.raises(StoppedError):
        future.result()


def test_closing_ends_waiting(lanes: ConnectionPool[int | None]) -> None:
    release = threading.Event()
    future = lanes.submit(lambda _: release.wait(20) and None)
    threading.Timer(0.1, lanes.close).start()

    with pytest.raises(StoppedError):
        lanes.result(future)
    release.set()


def test_closing_drops_what_was_not_begun(shop: Shop) -> None:
    lanes: ConnectionPool[None] = ConnectionPool(MemoryTransport(shop), 1)
    begun, done = threading.Event(), []

    def work(_: Transport) -> None:
        begun.set()
        lanes.wait(1000)

    lanes.submit(work)
    later = lanes.submit(lambda _: done.append(1))
    begun.wait()
    lanes.close()

    assert later.cancelled()
    assert done == []
