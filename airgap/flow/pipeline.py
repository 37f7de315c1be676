"""Work on many things at once, with results in order and a bounded number under way."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, ParamSpec, TypeVar

from airgap.flow.workers import Task, Workers

__all__ = [
    "SerialExecutor",
    "default_jobs",
    "limit_ahead",
    "map_in_order",
    "run_workers",
    "serial_executor",
]

A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")

_AHEAD_PER_JOB: Final = 3
_MOST_AHEAD: Final = 8
_LAG: Final = 12


def default_jobs() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_ahead(jobs: int) -> int:
    """Return how many chunks or blocks (up to 4 MiB each) may be under way in one stage.

    Enough to keep the threads busy; no more with many threads, since one cuts and one writes.
    """
    return min(_AHEAD_PER_JOB * jobs, _MOST_AHEAD)


@contextmanager
def run_workers(count: int) -> Iterator[Workers]:
    """Run a pool of threads, no more than could have work.

    When an error ends the block, work that has not begun is dropped.
    """
    pool = Workers(min(count, _MOST_AHEAD))
    try:
        yield pool
    finally:
        pool.end()


def map_in_order(
    pool: Workers,
    work: Callable[[A], B],
    things: Iterable[A],
    most: int,
    *,
    quick: Callable[[A], bool] = lambda _: False,
) -> Iterator[B]:
    """Yield ``work(thing)`` for each thing, in order, with at most ``most`` under way.

    What is ``quick`` is done by the calling thread: to hand it over would take longer.
    """
    under_way: deque[Task[B] | _Done[B]] = deque()
    for thing in things:
        is_quick = quick(thing)
        if is_quick and not under_way:
            yield work(thing)
            continue
        under_way.append(_Done(work(thing)) if is_quick else pool.submit(work, thing))
        del thing  # a pack is large: the caller that takes the result decides how long it lives
        if len(under_way) >= most:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


class _Done(Generic[B]):
    """The result of work that the calling thread did."""

    def __init__(self, result: B) -> None:
        self._result = result

    def result(self) -> B:
        """Return the result, as a task does."""
        return self._result


class SerialExecutor:
    """One thread that does work in the order in which it is submitted.

    It may lag by a bounded number of tasks; then ``submit`` waits.
    """

    def __init__(self, pool: Workers, lag: int) -> None:
        """Take a pool of one thread; see ``serial_executor``."""
        self._pool = pool
        self._lag = lag
        self._under_way: deque[Task[None]] = deque()

    def submit(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Queue a task. What an earlier one raised is raised here or by ``drain``."""
        self._under_way.append(self._pool.submit(work, *args, **kwargs))
        while len(self._under_way) > self._lag:
            self._under_way.popleft().result()

    def wait(self) -> bool:
        """Wait for the oldest task that is not known to be done; False if there is none."""
        if self._under_way:
            self._under_way.popleft().result()
            return True
        return False

    def drain(self) -> None:
        """Wait until all is done."""
        while self.wait():
            pass


@contextmanager
def serial_executor(
    stop: Callable[[], object] = lambda: None, lag: int = _LAG
) -> Iterator[SerialExecutor]:
    """Run a serial executor; all its work is done when the block ends without an error.

    It may lag by ``lag`` tasks. On an error, ``stop`` is called from this thread, and is to end
    what is under way soon.
    """
    with run_workers(1) as pool:
        executor = SerialExecutor(pool, lag)
        try:
            yield executor
            executor.drain()
        except BaseException:
            stop()
            raise
