"""Threads that digest files and packs, each of which is digested from its beginning to its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from airgap.flow.exporting.turns import SIDE_BY_SIDE
from airgap.flow.pipeline import serial_executor

__all__ = ["Digester", "Digesters", "run_digesters"]

_LAG: Final = 12
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


@contextmanager
def run_digesters(jobs: int) -> Iterator[Digesters]:
    """Run threads, no more than there are large files at a time."""
    threads = min(jobs, SIDE_BY_SIDE)
    lag = max(_LAG // threads, _LEAST_LAG)
    with ExitStack() as stack:
        executors = [stack.enter_context(serial_executor(lag=lag)) for _ in range(threads)]
        yield Digesters([executor.submit for executor in executors])
