"""Threads that digest files and packs, each of which is digested from its beginning to its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from airgap.flow.pipeline import serial_executor

__all__ = ["Digester", "Digesters", "run_digesters"]

_WAITING: Final = 12
"""Chunks, or blocks, that may wait to be digested; each has up to 4 MiB, mostly one."""
_LEAST_LAG: Final = 3

Submit = Callable[[Callable[[], None]], object]
"""Has work done in the order in which it is given."""


@dataclass(slots=True)
class _Thread:
    submit: Submit
    active: int = 0
    begun: int = 0


class Digester:
    """Does the work for one file or pack, in order."""

    def __init__(self, thread: _Thread) -> None:
        """Take a thread; ``Digesters.begin`` chooses it."""
        self.submit = thread.submit
        self._thread = thread
        thread.active += 1

    def end(self) -> None:
        """Say that no more work comes."""
        self._thread.active -= 1


class Digesters:
    """Gives each file or pack the thread that has the fewest; which one it is changes no byte."""

    def __init__(self, threads: Sequence[Submit]) -> None:
        """Take the threads, or whatever does the work."""
        self._threads = [_Thread(submit) for submit in threads]
        self._begun = count(1)

    def begin(self) -> Digester:
        """Choose a thread for a file or pack that begins."""
        thread = min(self._threads, key=lambda each: (each.active, each.begun))
        thread.begun = next(self._begun)
        return Digester(thread)

    def when_done(self, work: Callable[[], None]) -> None:
        """Do this once all work that was given until now is done; the last thread does it."""
        arrived = count(1)

        def arrive() -> None:
            if next(arrived) == len(self._threads):
                work()

        for thread in self._threads:
            thread.submit(arrive)


@contextmanager
def run_digesters(threads: int, waiting: int = _WAITING) -> Iterator[Digesters]:
    """Run so many threads, for all of which together about ``waiting`` pieces of work may wait."""
    lag = max(waiting // threads, _LEAST_LAG)
    with ExitStack() as stack:
        executors = [stack.enter_context(serial_executor(lag=lag)) for _ in range(threads)]
        yield Digesters([executor.submit for executor in executors])
