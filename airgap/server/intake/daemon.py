"""What every daemon needs: a lock on its state folder, and a clean stop on a signal."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from airgap.disk import locks
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConflictError

__all__ = ["Daemon", "check_not_root", "lock_state", "stop_on_signals"]

_COLLECTIONS: Final = (700, 10, 10)
"""When Python collects garbage: its own values."""


class Daemon(Protocol):
    """A service that runs until it is stopped."""

    def stop(self) -> None:
        """Stop soon. Called from a signal handler or another thread."""
        ...


def check_not_root() -> str | None:
    """Return a warning if the process runs as root, which no service needs."""
    if os.geteuid() != 0:
        return None
    return "Running as root, which is not needed: use a dedicated user (docs/gateway-drop-box.md)."


def lock_state(state: Path) -> int:
    """Create a state folder and lock it against other daemons; return the lock's descriptor.

    Raises:
        ConflictError: another daemon holds the lock.
        StorageError: the folder cannot be created.
    """
    with translate_errors(state):
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not locks.try_lock(descriptor):
        os.close(descriptor)
        raise ConflictError(
            f"Another process is using {state}.", "Stop it first, or choose another folder."
        )
    return descriptor


@contextmanager
def stop_on_signals(daemon: Daemon) -> Iterator[None]:
    """Stop a daemon on SIGTERM and SIGINT within the block.

    Within it, Python collects garbage as often as it does by itself: commands do so rarely, and a
    daemon would grow with every request.
    """

    def stop(_number: int, _frame: object) -> None:
        daemon.stop()

    collections = gc.get_threshold()
    gc.set_threshold(*_COLLECTIONS)
    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        gc.set_threshold(*collections)
        for number, handler in previous.items():
            signal.signal(number, handler)
