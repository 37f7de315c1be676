"""Runs imports and verifications in child processes, as the command line does.

A bundle that takes minutes, gigabytes or the whole process down leaves the server unharmed, and the
server trusts, remembers and refuses exactly what `airgap import` does.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any, Final, Literal

from airgap.flow.location.location import ArchiveFile, LocalDepot, to_text
from airgap.sealing.age_keys import AgeIdentity
from airgap.server.intake.decisions import Verdict

__all__ = ["TIME_LIMIT", "Operation", "Worker"]

Operation = Literal["import", "verify"]
_NICENESS: Final = 10  # sessions come first
TIME_LIMIT: Final = 6 * 3600.0
"""How many seconds a command may take by default; other bundles wait as long."""
_KILL_SECONDS: Final = 10.0
_NOUNS: Final[Mapping[Operation, str]] = {"import": "import", "verify": "verification"}
_MAX_OUTPUT: Final = 2000


class Worker:
    """Runs one command at a time."""

    def __init__(
        self,
        jobs: int | None = None,
        inherited: Sequence[int] = (),
        time_limit: float = TIME_LIMIT,
        identities: Sequence[AgeIdentity] = (),
    ) -> None:
        """Configure the commands.

        Args:
            jobs: the number of their threads.
            inherited: descriptors (locks) that they hold while they run.
            time_limit: after how many seconds a command is killed.
            identities: what opens sealed bundles: each command gets it through a pipe.
        """
        self._secrets = "".join(f"{identity.text}\n" for identity in identities).encode()
        self._jobs = jobs
        self._time_limit = time_limit
        self._inherited = tuple(inherited)
        self._guard = RLock()  # reentrant: a signal handler may interrupt a holder
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(
        self,
        operation: Operation,
        location: LocalDepot | ArchiveFile,
        depots: Sequence[LocalDepot | ArchiveFile] = (),
    ) -> Verdict:
        """Import or verify the bundle at a location, within the time limit.

        ``depots`` are where chunks may be that it builds on.
        """
        # -P: import nothing from the server's working directory
        command = [sys.executable, "-P", "-m", "airgap", operation, to_text(location)]
        command += ["--json", "--quiet"]
        command += [word for depot in depots for word in ("--depot", to_text(depot))]
        command += ["--jobs", str(self._jobs)] if self._jobs else []
        with self._guard, _offer(self._secrets) as (inherited, words):
            if self._stopped:
                return Verdict("interrupted", "The service is stopping.")
            command += words
            self._process = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(*self._inherited, *inherited),
                start_new_session=True,  # Ctrl-C is for the server, which then stops its command
            )
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICENESS)
        self._terminate_if_stopped()
        try:
            stdout, stderr = self._process.communicate(timeout=self._time_limit)
        except subprocess.TimeoutExpired:
            _kill_all(self._process)
            return Verdict(
                "policy",
                f"The {_NOUNS[operation]} took longer than {self._time_limit:,.0f} seconds, the"
                " time limit of this machine, and was stopped.",
                "If the bundle is good, raise the time limit (import_seconds of the drop box,"
                " --time-limit of `airgap watch`), or import it by hand.",
            )
        return _parse_verdict(self._process.returncode, stdout, stderr)

    def stop(self) -> None:
        """Interrupt the running command as Ctrl-C would, and start no other."""
        self._stopped = True
        self._terminate_if_stopped()

    def _terminate_if_stopped(self) -> None:
        """Terminate the running command if ``stop`` was called, before it started or since."""
        with self._guard:
            if self._stopped and self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """Kill the running command, which is safe at any moment of an import."""
        with self._guard:
            if self._process is not None:
                self._process.kill()


@contextmanager
def _offer(secrets: bytes) -> Iterator[tuple[tuple[int, ...], list[str]]]:
    """Give the descriptor, and the words of a command, by which a child process gets identities.

    They are in no environment, no command line and no file; a pipe has room for all of them.
    """
    if not secrets:
        yield (), []
        return
    reader, writer = os.pipe()
    try:
        try:
            os.write(writer, secrets)
        finally:
            os.close(writer)
        yield (reader,), ["--identity", f"fd:{reader}"]
    finally:
        os.close(reader)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and what it has started. Its session is its own (``start_new_session``)."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel: a dead network disk
        process.communicate(timeout=_KILL_SECONDS)


def _parse_verdict(code: int, stdout: bytes, stderr: bytes) -> Verdict:
    report: dict[str, Any] = {}
    with suppress(ValueError):
        loaded = json.loads(stdout)
        report = loaded if isinstance(loaded, dict) else {}
    if code == 0 and "error" not in report:
        return Verdict("done", report=report)
    error = report.get("error", {})
    if error:
        return Verdict(error["kind"], error["message"], error["hint"], report)
    output = stderr.decode(errors="replace")[-_MAX_OUTPUT:]
    end = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Verdict(
        "bug",
        f"The command ended with {end} and without a verdict. {output}".strip(),
        "Check this machine's memory and its system log, then import the bundle by hand.",
    )
