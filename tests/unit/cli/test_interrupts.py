"""Ctrl-C that Python drops, since it destroyed an object then, comes again."""

import signal
import subprocess
import sys
from types import FrameType, SimpleNamespace
from typing import cast

import pytest

from airgap.cli import interrupts
from tests.support.sides import REPOSITORY, unmeasured_environment

PROGRAM = """
import signal, sys, time
from airgap.cli import interrupts

class Destroyed:
    def __del__(self):
        signal.raise_signal(signal.{signal})

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
interrupts.raise_on_signals()
interrupts.raise_on_signals()  # as an API's caller may
try:
    Destroyed()
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
"""


def _run(number: signal.Signals) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(signal=number.name)],
        cwd=REPOSITORY,
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_an_interrupt_that_is_dropped_comes_again() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        ended = _run(number)

        assert (ended.stdout, ended.stderr, ended.returncode) == ("interrupted\n", "", 0)


def test_one_that_comes_while_the_hook_runs_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[tuple[float, ...]] = []
    monkeypatch.setattr(signal, "setitimer", lambda _, *seconds: timers.append(seconds))
    hook = SimpleNamespace(f_code=interrupts._interrupt_again.__code__, f_back=None)
    handler = SimpleNamespace(f_code=interrupts._interrupt.__code__, f_back=hook)
    for frame in (hook, handler):
        interrupts._interrupt(signal.SIGALRM, cast("FrameType", frame))

    assert not timers  # it comes again
    with pytest.raises(KeyboardInterrupt):
        interrupts._interrupt(signal.SIGALRM, sys._getframe())
    assert timers == [(0,)]


def test_what_else_is_dropped_is_printed() -> None:
    program = """
from airgap.cli import interrupts
class Destroyed:
    def __del__(self):
        raise ValueError("three")
interrupts.raise_on_signals()
Destroyed()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=unmeasured_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert "ValueError: three" in ended.stderr
