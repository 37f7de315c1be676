"""Ctrl-C and SIGTERM end a command with an exception, wherever it is."""

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["raise_on_signals"]

_SOON_SECONDS = 0.005


def raise_on_signals() -> None:
    """Let SIGTERM raise KeyboardInterrupt, as SIGINT does, and let neither be lost.

    Python drops an exception that is raised while it destroys an object, such as a generator that
    nobody reads to its end. Then the command would go on: it is interrupted a moment later.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    previous = sys.unraisablehook
    if not (isinstance(previous, partial) and previous.func is _interrupt_again):
        sys.unraisablehook = partial(_interrupt_again, previous)


def _interrupt(_number: int, frame: "FrameType | None") -> None:
    """Raise KeyboardInterrupt; not while the hook runs, where it would be dropped once more."""
    while frame is not None:
        if frame.f_code is _interrupt_again.__code__:
            return
        frame = frame.f_back
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt


def _interrupt_again(
    previous: "Callable[[sys.UnraisableHookArgs], object]", dropped: "sys.UnraisableHookArgs"
) -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _SOON_SECONDS, _SOON_SECONDS)  # until it is raised
    else:
        previous(dropped)
