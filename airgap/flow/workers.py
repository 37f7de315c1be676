"""Threads that work for a thread which may be interrupted at any moment.

Ctrl-C raises ``KeyboardInterrupt`` between any two steps of the main thread, and so within what
``concurrent.futures`` does under a lock of its own: the lock stays locked, and a worker that needs
it never ends. Here the two sides share nothing but queues that are written in C, which are whole
at every moment, and the main thread holds no lock that a worker needs.
"""

import signal
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

__all__ = ["Task", "Workers"]

P = ParamSpec("P")
T = TypeVar("T")

_ENDING: Final = frozenset({signal.SIGINT, signal.SIGTERM})


class Task(Generic[T]):
    """Work that a thread does, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        """Take the work; ``Workers.submit`` makes tasks."""
        self._work = work
        self._results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        """Do the work."""
        try:
            self._results.put((self._work(), None))
        except BaseException as error:  # noqa: BLE001  (the thread that waits for the result gets it)
            self._results.put((None, error))

    def result(self) -> T:
        """Wait for the work, and return its result or raise its error. To be called once."""
        value, error = self._results.get()
        if error is None:
            return cast("T", value)
        try:
            raise error
        finally:
            del error  # or its traceback would keep this frame, and this frame the error


class Workers:
    """At most so many threads; each starts when there is work for it.

    The threads are daemons: the end of the process waits for none of them.
    """

    def __init__(self, count: int) -> None:
        """Allow ``count`` threads; none is started yet."""
        self._count = count
        self._started = 0
        self._tasks: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Task[T]:
        """Queue work for the next free thread."""
        task: Task[T] = Task(lambda: work(*args, **kwargs))
        self._tasks.put(task)
        if self._started < self._count:
            self._start()
        return task

    def end(self) -> None:
        """Drop work that has not begun, and wait for the rest."""
        try:
            while True:
                self._tasks.get_nowait()
        except Empty:
            pass
        for _ in range(self._started):
            self._tasks.put(None)
        for _ in range(self._started):
            self._ended.get()

    def _start(self) -> None:
        """Start a thread, with Ctrl-C held back: ``Thread.start`` has a lock of the kind above."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
            threading.Thread(target=self._run, name="airgap", daemon=True).start()
            self._started += 1
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()
            del task  # a pack is large: it is not kept until the next task comes
        self._ended.put(None)
