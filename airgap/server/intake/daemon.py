"""What a service needs besides its work: to be alone, and to stop when it is told."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from airgap.disk import locks
from airgap.disk.os_errors import translate_errors
from airgap.errors import ConflictError

__all__ = ["Daemon", "only_one", "stopped_by_signals", "warning_for_root"]


class Daemon(Protocol):
    """Something that serves until it is stopped."""

    def stop(self) -> None:
        """Stop soon; from a signal handler or another thread."""
        ...


def warning_for_root() -> str | None:
    """Return what root should be told before it runs a service."""
    if os.geteuid() != 0:
        return None
    return "This runs as root, and need not: give it a user of its own (docs/gateway-drop-box.md)."


def only_one(state: Path) -> int:
    """Lock a state folder against other services; return the descriptor that holds the lock.

    Raises:
        ConflictError: another one has it.
        StorageError: it cannot be made.
    """
    with translate_errors(state):
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not locks.try_lock(descriptor):
        os.close(descriptor)
        raise ConflictError(
            f"Another service is at work in {state}.", "Stop it first, or choose another folder."
        )
    return descriptor


@contextmanager
def stopped_by_signals(service: Daemon) -> Iterator[None]:
    """Stop a service on SIGTERM and SIGINT within the block."""

    def stop(_number: int, _frame: object) -> None:
        service.stop()

    before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
