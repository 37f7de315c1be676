"""Work on many things at once, with results in order and a bounded number under way."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

__all__ = ["ahead", "default_jobs", "in_order", "workers"]

A = TypeVar("A")
B = TypeVar("B")

_AHEAD_PER_JOB: Final = 2
_MOST_AHEAD: Final = 6


def default_jobs() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ahead(jobs: int) -> int:
    """Return how many chunks or blocks (up to 4 MiB each) may be under way in one stage.

    Enough to keep the threads busy; no more with many threads, since what cuts and writes is one.
    """
    return min(_AHEAD_PER_JOB * jobs, _MOST_AHEAD)


@contextmanager
def workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Run threads, no more than could have work.

    When the block is left by an error, what has not begun is dropped.
    """
    pool = ThreadPoolExecutor(min(count, _MOST_AHEAD), thread_name_prefix="airgap")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[A], B], things: Iterable[A], most: int
) -> Iterator[B]:
    """Yield ``work(thing)`` for each thing, in order, with at most ``most`` under way."""
    under_way: deque[Future[B]] = deque()
    for thing in things:
        under_way.append(pool.submit(work, thing))
        del thing  # a pack is large; whoever takes the result decides how long it lives
        if len(under_way) >= most:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
