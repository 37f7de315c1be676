"""A pool of connections to one location, each used by a thread of its own."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Final, Generic, TypeVar

from airgap.errors import AirgapError
from airgap.transport.port import Transport

__all__ = ["ConnectionPool", "StoppedError", "run_in_parallel"]

T = TypeVar("T")
_Task = tuple[Callable[[Transport], T], "Future[T]"]
_CLOSE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.2


class StoppedError(Exception):
    """The pool was closed before the task was done; its result is no longer needed."""


class ConnectionPool(Generic[T]):
    """Threads that each have a clone of a transport; a thread starts when there is work for it.

    The threads are daemons, and ``close`` does not wait for a server that does not answer: Ctrl-C
    must end the process at once.
    """

    def __init__(self, transport: Transport, count: int) -> None:
        """Allow at most ``count`` connections; none is opened yet."""
        self._transport = transport
        self._count = count
        self._tasks: queue.SimpleQueue[_Task[T] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def submit(self, work: Callable[[Transport], T]) -> "Future[T]":
        """Queue work for the next free connection."""
        future: Future[T] = Future()
        self._tasks.put((work, future))
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name="airgap-connection", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def result(self, future: "Future[T]") -> T:
        """Wait for submitted work, or raise StoppedError as soon as the pool is closed."""
        while not wait([future], _POLL_SECONDS).done:
            self.check()
        return future.result()

    def check(self) -> None:
        """Raise StoppedError if the pool was closed. Long work calls this regularly."""
        if self._stopped.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Sleep, or raise StoppedError as soon as the pool is closed."""
        self._stopped.wait(seconds)
        self.check()

    def close(self) -> None:
        """Drop queued work, stop work that calls ``check``, and close the connections."""
        self._stopped.set()
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    def _run(self) -> None:
        connection = self._transport.clone()
        try:
            while (task := self._tasks.get()) is not None:
                work, future = task
                if self._stopped.is_set():
                    future.cancel()
                elif future.set_running_or_notify_cancel():
                    _run_task(work, future, connection)
        finally:
            with suppress(AirgapError, OSError):
                connection.close()


def run_in_parallel(
    transport: Transport, count: int, work: Iterable[Callable[[Transport], T]]
) -> list[T]:
    """Run functions over at most ``count`` connections; return their results in order."""
    pool: ConnectionPool[T] = ConnectionPool(transport, count)
    try:
        return [future.result() for future in [pool.submit(function) for function in work]]
    finally:
        pool.close()


def _run_task(work: Callable[[Transport], T], future: "Future[T]", connection: Transport) -> None:
    try:
        future.set_result(work(connection))
    except BaseException as error:  # noqa: BLE001  (the thread that waits for the result gets it)
        future.set_exception(error)
