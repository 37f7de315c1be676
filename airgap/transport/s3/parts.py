"""Sends the parts of an upload over several connections, each in a thread of its own.

The threads are daemons, and ``stop`` closes their connections: Ctrl-C must end the process at once.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

from airgap.transport.http import HttpConnection

__all__ = ["PartSender"]

_STOP_SECONDS: Final = 2.0


class PartSender:
    """As many parts are sent at once as there are connections; one more is being read."""

    def __init__(
        self,
        send: Callable[[HttpConnection, int, bytes, threading.Event], str],
        connections: Sequence[HttpConnection],
    ) -> None:
        """Start the threads.

        ``send`` sends a part by its number, and returns its tag; it gives up when the event is set.
        """
        self._send = send
        self._connections = connections
        self._tasks: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(len(connections))
        self._tags: dict[int, str] = {}
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), daemon=True)
            for connection in connections
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, number: int, part: bytes) -> None:
        """Send a part as soon as a connection is free; raise what an earlier part has raised."""
        self._room.acquire()
        self._check()
        self._tasks.put((number, part))

    def finish(self) -> list[str]:
        """Wait for all parts, and return their tags in order; raises as ``submit``."""
        self._end_threads()
        for thread in self._threads:
            thread.join()
        self._check()
        return [self._tags[number] for number in sorted(self._tags)]

    def stop(self) -> None:
        """Give up what is being sent."""
        self._error = self._error or InterruptedError()
        self._stopped.set()
        self._end_threads()
        for connection in self._connections:
            connection.close()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self, connection: HttpConnection) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                if self._error is None:
                    self._tags[task[0]] = self._send(connection, *task, self._stopped)
            except BaseException as error:  # noqa: BLE001  (the thread that submits gets it)
                self._error = self._error or error
                self._stopped.set()
            finally:
                self._room.release()
