"""Imports and verifications in processes of their own: exactly what the command line does.

A bundle that takes minutes, gigabytes or the whole process with it leaves the server as it was, and
what `airgap import` trusts, remembers and refuses is what the server does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import RLock
from typing import Any, Final, Literal

from airgap.server.intake.policy import Verdict

__all__ = ["Work", "Worker"]

Work = Literal["import", "verify"]
_POLITENESS: Final = 10  # sessions come first
_LAST_LINES: Final = 2000


class Worker:
    """Runs one command at a time."""

    def __init__(self, jobs: int | None = None, inherited: Sequence[int] = ()) -> None:
        """Take the number of threads, and descriptors (locks) that commands hold while they run."""
        self._jobs = jobs
        self._inherited = tuple(inherited)
        self._guard = RLock()  # a signal handler may come into it again
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, work: Work, place: str) -> Verdict:
        """Import or verify what lies at a place."""
        # -P: nothing is imported from the folder that the server happens to be in
        words = [sys.executable, "-P", "-m", "airgap", work, place, "--json", "--quiet"]
        words += ["--jobs", str(self._jobs)] if self._jobs else []
        with self._guard:
            if self._stopped:
                return Verdict("interrupted", "The service is stopping.")
            self._process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=self._inherited,
                start_new_session=True,  # Ctrl-C is for the server, which then ends its commands
            )
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _POLITENESS)
        self._heed()
        out, told = self._process.communicate()
        return _verdict(self._process.returncode, out, told)

    def stop(self) -> None:
        """Let the command at hand end as Ctrl-C would; no other begins."""
        self._stopped = True
        self._heed()

    def _heed(self) -> None:
        """End the command at hand if that was asked for: before it began, or now."""
        with self._guard:
            if self._stopped and self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """End it at once: an import can be killed at any moment."""
        with self._guard:
            if self._process is not None:
                self._process.kill()


def _verdict(code: int, out: bytes, told: bytes) -> Verdict:
    report: dict[str, Any] = {}
    with suppress(ValueError):
        loaded = json.loads(out)
        report = loaded if isinstance(loaded, dict) else {}
    if code == 0 and "error" not in report:
        return Verdict("done", report=report)
    error = report.get("error", {})
    if error:
        return Verdict(error["kind"], error["message"], error["hint"], report)
    last = told.decode(errors="replace")[-_LAST_LINES:]
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Verdict(
        "bug",
        f"The command ended by {how} without a verdict. {last}".strip(),
        "Look at this machine's memory and its system log, then import it by hand.",
    )
