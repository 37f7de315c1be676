"""Commands as other users of a machine, with real uids, groups and umasks, among private mounts."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from tests.support.sides import REPOSITORY, Ran, unmeasured_environment


@dataclass(frozen=True)
class User:
    """Who runs a command."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    umask: int = 0o022
    environment: Mapping[str, str] = field(default_factory=dict)


class Machine:
    """A namespace with mounts of its own, in which commands run as users."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, user: User, *arguments: str | Path, script: bool = False) -> Ran:
        """Run airgap, or a script of Python, as a user."""
        request = {
            "uid": user.uid,
            "gid": user.gid,
            "groups": list(user.groups),
            "umask": user.umask,
            "environment": dict(user.environment),
            "arguments": list(map(str, arguments)),
            "script": script,
        }
        answer = json.loads(self._ask(json.dumps(request)))
        return Ran(answer["code"], answer["out"], answer["err"])

    def _ask(self, line: str) -> str:
        stdin, stdout = _pipes(self._process)
        stdin.write(line + "\n")
        stdin.flush()
        return stdout.readline()  # the server's children have a time limit


def _pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that every user can enter: not so pytest's."""
    with tempfile.TemporaryDirectory(prefix="airgap-users-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def start_machine(
    *, binds: Sequence[tuple[Path, Path]] = (), read_only_but: Path | None = None
) -> Iterator[Machine]:
    """Start one; skip the test where that is not possible.

    ``binds`` are folders that lie in the place of others there. If ``read_only_but`` is a folder,
    everything else is read-only.
    """
    if os.geteuid() != 0:
        pytest.skip("other users' commands need root")
    with tempfile.TemporaryDirectory(prefix="airgap-holding-") as holding:
        process = subprocess.Popen(
            ["unshare", "--mount", sys.executable, "-m", "tests.support.user_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=unmeasured_environment(),
        )
        stdin, stdout = _pipes(process)
        setting = {
            "holding": holding,
            "needed": [sys.base_prefix, sys.prefix, str(REPOSITORY)],
            "binds": [[str(source), str(target)] for source, target in binds],
            "read_only_but": str(read_only_but) if read_only_but else None,
        }
        try:
            stdin.write(json.dumps(setting) + "\n")
            stdin.flush()
            if stdout.readline() != "ready\n":
                pytest.skip(f"no private mounts here: {process.communicate(timeout=60)[1]}")
            yield Machine(process)
        finally:
            process.kill()
            process.communicate(timeout=60)
