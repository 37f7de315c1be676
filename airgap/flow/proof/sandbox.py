"""Runs the supervisor in namespaces of its own, as far as this host lets us."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from airgap.errors import StorageError
from airgap.flow.proof.trial import PYTHON_LOG, Outcome, Trial

__all__ = ["HOOK", "find_namespaces", "run"]

HOOK: Final = Path(__file__).parent / "hook"
_NAMESPACES: Final = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_MARGIN: Final = 60
"""Seconds beyond the trial's own limits, after which the supervisor is killed."""


@cache
def find_namespaces() -> tuple[str, ...]:
    """Return the command that gives a process its own namespaces; empty if this host refuses."""
    for prefix in (("unshare", *_NAMESPACES), ("unshare", "--map-root-user", *_NAMESPACES)):
        try:
            subprocess.run(  # noqa: S603  (our own words)
                [*prefix, "mount", "--make-rprivate", "/"],
                check=True,
                capture_output=True,
                timeout=20,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return prefix
    return ()


def run(trial: Trial, namespaces: Sequence[str]) -> Outcome:
    """Run the trial, and return what came of it.

    Raises:
        StorageError: the supervisor ended without an outcome.
    """
    variables = {
        "PYTHONPATH": str(HOOK),
        "AIRGAP_PROOF_LOG": str(trial.folder / PYTHON_LOG),
        **({} if namespaces else {"AIRGAP_PROOF_REFUSE": "1"}),
    }
    trial = replace(
        trial,
        environment={**trial.environment, **variables},
        is_isolated=bool(namespaces),
    )
    command = [*namespaces, sys.executable, "-m", "airgap.flow.proof.supervisor"]
    limit = trial.seconds_to_start + trial.seconds_to_answer * 10 + _MARGIN
    package = Path(__file__).parents[3]
    try:
        done = subprocess.run(  # noqa: S603  (our own words)
            [*command, str(trial.write())],
            env={**os.environ, "PYTHONPATH": str(package)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=limit,
        )
        error = done.stderr.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        error = f"It did not end within {limit:,.0f} s."
    outcome = Outcome.read(trial.folder)
    if outcome is None or outcome.problem:
        problem = outcome.problem if outcome else error.rpartition("\n")[2]
        raise StorageError(
            f"The sandbox of the proof could not be run: {problem}.",
            "Run `airgap doctor`; as another user, or on another host, it may work.",
        )
    return outcome
