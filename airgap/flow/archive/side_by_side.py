"""Reads many small things of a depot over several connections, and yields them in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from airgap.carrier.depot import Depot
from airgap.transport.connections import ConnectionPool
from airgap.transport.port import Transport

__all__ = ["read_side_by_side"]

T = TypeVar("T")


def read_side_by_side(depot: Depot, tasks: Iterable[Callable[[Transport], T]]) -> Iterator[T]:
    """Run tasks, each with a connection of its own; at most a few results wait at a time.

    Raises:
        Exception: what a task raised.
    """
    pool: ConnectionPool[T] = ConnectionPool(depot.transport, depot.work.jobs)
    pending: deque[Future[T]] = deque()
    try:
        for task in tasks:
            pending.append(pool.submit(task))
            if len(pending) > 2 * depot.work.jobs:
                yield pool.result(pending.popleft())
        while pending:
            yield pool.result(pending.popleft())
    finally:
        pool.close()
