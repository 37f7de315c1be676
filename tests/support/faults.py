"""Commands that break at a chosen moment: killed, stopped, interrupted, or out of space.

``Launcher`` talks to a ``tests.support.fork_server``, which forks a child per command in 10 ms.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.sides import REPOSITORY, Side, unmeasured_environment


@dataclass(frozen=True)
class Fault:
    """What happens before write step number ``at``, or before the first that matches ``before``.

    ``again``: before every one that matches. ``call`` counts calls of Python functions instead.
    ``full``: whatever needs space on the disk fails from there on. ``error``: the step fails with
    this errno, and with ``again`` every later one too. Otherwise the process sends itself
    ``signal``.
    """

    signal: int = signal.SIGKILL
    at: int | None = None
    before: str = ""
    again: bool = False
    call: int | None = None
    count_calls: bool = False
    full: bool = False
    error: int = 0


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``code`` is its exit code, negative if a signal killed it."""

    code: int
    out: str
    err: str
    steps: tuple[str, ...]
    calls: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def last(self) -> str:
        """The step before which it broke."""
        return f"step {len(self.steps) - 1}, {self.steps[-1] if self.steps else 'none'}"


class Child:
    """A command that runs, or is stopped."""

    def __init__(self, launcher: "Launcher", pid: int, notes: Path) -> None:
        self.pid = pid
        self._launcher = launcher
        self._notes = notes

    def stopped(self) -> Self:
        """Wait until its fault has stopped it."""
        status = self._launcher.ask({"wait": self.pid})
        assert os.WIFSTOPPED(status), f"ended instead: {self._end(status)}"
        return self

    def go_on(self) -> Self:
        os.kill(self.pid, signal.SIGCONT)
        return self

    def kill(self) -> Ended:
        os.kill(self.pid, signal.SIGKILL)
        return self.end()

    def end(self) -> Ended:
        """Wait for its end."""
        status = self._launcher.ask({"wait": self.pid})
        assert not os.WIFSTOPPED(status)
        return self._end(status)

    def told(self) -> str:
        """Return what it has written to standard error so far."""
        return self._notes.with_suffix(".err").read_text()

    def _end(self, status: int) -> Ended:
        trace = self._notes.with_suffix(".trace").read_text().splitlines()
        calls = int(trace.pop().split()[1]) if trace and trace[-1].startswith("calls ") else 0
        out = self._notes.with_suffix(".out").read_bytes().decode(errors="replace")
        return Ended(os.waitstatus_to_exitcode(status), out, self.told(), tuple(trace), calls)


class Launcher:
    """Starts commands; with ``prefix``, in what a program such as unshare makes around them."""

    def __init__(self, folder: Path, prefix: Sequence[str] = ()) -> None:
        self._folder = folder
        self._started = 0
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.support.fork_server"],
            cwd=REPOSITORY,
            env={
                **unmeasured_environment(),
                "PYTHONDONTWRITEBYTECODE": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def view(self, path: Path) -> Path:
        """Return where a path of the launcher's own mounts can be seen from here."""
        return Path(f"/proc/{self._process.pid}/root") / path.relative_to("/")

    def mount(self, folder: Path, *words: str | Path) -> None:
        """Mount something on a folder, where only the launcher's commands see it."""
        assert self.ask({"run": ["mount", *map(str, words), str(folder)]}) == 0

    def ask(self, request: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def rehearse(self, side: Side, *arguments: str | Path) -> None:
        """Run a command in the launcher itself: later ones find its imports and caches done."""
        words = list(map(str, arguments))
        assert self.ask({"rehearse": words, "environment": side.environment}) == 0

    def start(
        self,
        side: Side,
        *arguments: str | Path,
        fault: Fault | None = None,
        largest_file: int = 0,
        powerless: bool = False,
        swap: bool = True,
    ) -> Child:
        """Run a command on a side.

        Args:
            side: where.
            arguments: the command line.
            fault: what breaks it.
            largest_file: if given, writing a file beyond so many bytes fails.
            powerless: whether permissions count even for root.
            swap: whether the system can swap two folders in one step.
        """
        self._started += 1
        notes = self._folder / f"{self._started}.notes"
        request = {
            "arguments": list(map(str, arguments)),
            "environment": {**os.environ, **side.environment},
            "fault": asdict(fault) if fault else None,
            "within": str(side.top.parent),
            "stdin": os.devnull,
            "stdout": str(notes.with_suffix(".out")),
            "stderr": str(notes.with_suffix(".err")),
            "trace": str(notes.with_suffix(".trace")),
            "largest_file": largest_file,
            "powerless": powerless,
            "swap": swap,
        }
        return Child(self, self.ask(request), notes)

    def run(
        self,
        side: Side,
        *arguments: str | Path,
        fault: Fault | None = None,
        largest_file: int = 0,
        powerless: bool = False,
        swap: bool = True,
    ) -> Ended:
        """Run a command on a side until it ends; see ``start``."""
        return self.start(
            side,
            *arguments,
            fault=fault,
            largest_file=largest_file,
            powerless=powerless,
            swap=swap,
        ).end()
