"""Connections side by side, which can be stopped."""

import threading
from collections.abc import Iterator

import pytest

from airgap.errors import MissingError
from airgap.transport.connections import ConnectionPool, StoppedError
from airgap.transport.port import Transport
from tests.servers.in_memory import MemoryFiles, MemoryTransport


@pytest.fixture
def server() -> MemoryFiles:
    """A server with a file."""
    return MemoryFiles({"there": b"12345"})


@pytest.fixture
def pool(server: MemoryFiles) -> Iterator[ConnectionPool[int | None]]:
    """Three connections to it."""
    made: ConnectionPool[int | None] = ConnectionPool(MemoryTransport(server), 3)
    yield made
    made.close()


def test_work_is_done_and_its_result_comes_back(pool: ConnectionPool[int | None]) -> None:
    assert pool.submit(lambda connection: connection.size("there")).result(60) == 5


def test_errors_come_back(pool: ConnectionPool[int | None]) -> None:
    with pytest.raises(MissingError):
        pool.submit(lambda connection: connection.get("gone", len)).result(60)
    assert pool.submit(lambda connection: connection.size("there")).result(60) == 5


def test_as_many_tasks_run_as_there_are_connections(pool: ConnectionPool[int | None]) -> None:
    together = threading.Barrier(3, timeout=20)
    seen: set[int] = set()

    def wait_for_others(connection: Transport) -> None:
        together.wait(60)
        seen.add(id(connection))

    for future in [pool.submit(wait_for_others) for _ in range(3)]:
        future.result(60)

    assert len(seen) == 3


def test_no_more_connections_than_work(
    pool: ConnectionPool[int | None], server: MemoryFiles
) -> None:
    before = server.connections

    pool.submit(lambda connection: connection.size("there")).result(60)

    assert server.connections == before + 1


def test_closing_stops_work_that_checks(pool: ConnectionPool[int | None]) -> None:
    begun = threading.Event()

    def work(_: Transport) -> None:
        begun.set()
        pool.wait(1000)

    future = pool.submit(work)
    begun.wait(60)
    pool.close()

    with pytest.raises(StoppedError):
        future.result(60)


def test_closing_ends_waiting(pool: ConnectionPool[int | None]) -> None:
    release = threading.Event()
    future = pool.submit(lambda _: release.wait(20) and None)
    threading.Timer(0.1, pool.close).start()

    with pytest.raises(StoppedError):
        pool.result(future)
    release.set()


def test_closing_drops_queued_work(server: MemoryFiles) -> None:
    pool: ConnectionPool[None] = ConnectionPool(MemoryTransport(server), 1)
    begun, done = threading.Event(), []

    def work(_: Transport) -> None:
        begun.set()
        pool.wait(1000)

    pool.submit(work)
    later = pool.submit(lambda _: done.append(1))
    begun.wait(60)
    pool.close()

    assert later.cancelled()
    assert done == []
