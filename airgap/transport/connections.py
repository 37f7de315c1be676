"""Several connections to one place at work side by side, each with a thread of its own."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Final, Generic, TypeVar

from airgap.errors import AirgapError
from airgap.transport.port import Transport

__all__ = ["ConnectionPool", "StoppedError"]

T = TypeVar("T")
_Task = tuple[Callable[[Transport], T], "Future[T]"]
_CLOSE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.2


class StoppedError(Exception):
    """The lanes were closed while this was under way; nobody waits for it any more."""


class ConnectionPool(Generic[T]):
    """Threads that each have a clone of a transport, opened when there is work for it.

    They are daemons, and ``close`` does not wait for a server that does not answer: Ctrl-C must
    end the process now.
    """

    def __init__(self, transport: Transport, count: int) -> None:
        """Start no thread yet."""
        self._transport = transport
        self._count = count
        self._work: queue.SimpleQueue[_Task[T] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def submit(self, work: Callable[[Transport], T]) -> "Future[T]":
        """Let the next free connection do something."""
        future: Future[T] = Future()
        self._work.put((work, future))
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name="airgap-lane", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def result(self, future: "Future[T]") -> T:
        """Wait for what was submitted, or raise StoppedError as soon as the lanes are closed."""
        while not wait([future], _POLL_SECONDS).done:
            self.check()
        return future.result()

    def check(self) -> None:
        """Raise StoppedError if the lanes were closed: long work asks this again and again."""
        if self._stopped.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Wait, or raise StoppedError as soon as the lanes are closed."""
        self._stopped.wait(seconds)
        self.check()

    def close(self) -> None:
        """Drop what was not begun, stop what asks ``check``, and close the connections."""
        self._stopped.set()
        for _ in self._threads:
            self._work.put(None)
        give_up = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        self._threads.clear()

    def _run(self) -> None:
        own = self._transport.clone()
        try:
            while (item := self._work.get()) is not None:
                work, future = item
                if self._stopped.is_set():
                    future.cancel()
                elif future.set_running_or_notify_cancel():
                    _run_task(work, future, own)
        finally:
            with suppress(AirgapError, OSError):
                own.close()


def _run_task(work: Callable[[Transport], T], future: "Future[T]", own: Transport) -> None:
    try:
        future.set_result(work(own))
    except BaseException as error:  # noqa: BLE001  (whoever waits for the result hears it)
        future.set_exception(error)
