"""Fills an environment's folder: a virtual environment, and the wheels, by pip out of its wheel."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airgap.disk.os_errors import storage_error
from airgap.disk.space import measure_free
from airgap.errors import AirgapError, ConfigurationError, CorruptError, StorageError
from airgap.flow.environment.check_wheels import copy_tool, measure_installed
from airgap.flow.environment.choose import Choice
from airgap.flow.environment.pythons import run_env
from airgap.flow.progress import Progress
from airgap.format.wheelhouse import REQUIREMENTS, WHEELS
from airgap.store.environments import choose_modes

__all__ = ["build"]

_CHECK: Final = Path(__file__).with_name("check_installed.py")
_TOOLS: Final = ".airgap-tools"
_MARGIN: Final = 1.2
"""Compiled modules, and the blocks that files do not fill."""
_SHOWN_LINES: Final = 10
_PERMISSIONS: Final = 0o777


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs programs with nothing of this process's settings but the lock on the folder.

    A program that outlives a killed airgap keeps the lock: the next one waits until it has ended.
    """

    folder: Path
    lock: int

    def run(self, command: Sequence[str | Path], text: str = "") -> tuple[int, list[str]]:
        """Return the exit code, and the last lines that were written."""
        modes = choose_modes(self.folder)
        done = subprocess.run(  # noqa: S603  (the chosen interpreter)
            list(map(str, command)),
            env={**run_env(os.environ), "PIP_CONFIG_FILE": os.devnull},
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[self.lock],
            umask=_PERMISSIONS & ~modes.folder,
            cwd=self.folder,
            check=False,
        )
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        return done.returncode, lines[-_SHOWN_LINES:]


def build(choice: Choice, folder: Path, lock: int, progress: Progress) -> None:
    """Install the packages of a wheelhouse, which was compared with its lock, into a new folder.

    ``lock`` is the descriptor that holds the folder.

    Raises:
        ConfigurationError: the interpreter cannot make a virtual environment.
        CorruptError: pip refuses a wheel, or what is installed is not what the lock says.
        StorageError: the disk refused, or is too small.
    """
    runner = _Runner(folder, lock)
    size = measure_installed(choice.wheelhouse)
    _demand_space(folder, size)
    progress.note(
        f"Installing {len(choice.wheelhouse.lock.packages):,} packages ({size / 1e6:,.1f} MB) with"
        f" Python {choice.python.text}."
    )
    tools = folder / _TOOLS
    try:
        tools.mkdir()
        pip = copy_tool(choice.wheelhouse, tools)
        _make_venv(runner, choice)
        _install(runner, choice, pip)
        _check(runner, choice, pip)
        shutil.rmtree(tools)
    except OSError as error:
        raise storage_error(error, error.filename or folder) from error


def _demand_space(folder: Path, size: int) -> None:
    with suppress(OSError):
        free = measure_free(folder)
        if free is not None and free < size * _MARGIN:
            raise StorageError(
                f"The environment needs about {size * _MARGIN / 1e6:,.0f} MB, and the disk of"
                f" {folder} has {free / 1e6:,.0f} MB free.",
                "Free some space, or name a folder on another disk.",
            )


def _make_venv(runner: _Runner, choice: Choice) -> None:
    python = choice.python.path
    code, lines = runner.run([python, "-I", "-B", "-m", "venv", "--without-pip", runner.folder])
    if code:
        raise ConfigurationError(
            f"{python} cannot make a virtual environment in {runner.folder}.",
            "Install Python's module venv (Debian: libpython3-stdlib), or name another interpreter"
            " with --python.",
            lines,
        )


def _install(runner: _Runner, choice: Choice, pip: Path) -> None:
    """Let pip install every wheel by its digest: no index, no configuration, nothing beyond."""
    house = choice.wheelhouse.folder
    options = (
        *("--isolated", "--disable-pip-version-check", "--no-input", "--quiet", "install"),
        *("--no-index", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir"),
        *("--no-warn-script-location", "--find-links", house / WHEELS),
    )
    python = runner.folder / "bin" / "python"
    code, lines = runner.run(
        [python, "-I", "-B", pip / "pip", *options, "-r", house / REQUIREMENTS]
    )
    if code:
        raise _explain(
            lines,
            f"pip cannot install the wheelhouse {choice.wheelhouse.tag} with Python"
            f" {choice.python.text}.",
        )


def _check(runner: _Runner, choice: Choice, pip: Path) -> None:
    expected = {package.name: package.version for package in choice.wheelhouse.lock.packages}
    python = runner.folder / "bin" / "python"
    code, lines = runner.run([python, "-I", "-B", _CHECK, pip], json.dumps(expected))
    if code:
        raise _explain(
            lines,
            f"What is installed from the wheelhouse {choice.wheelhouse.tag} is not what its lock"
            " and its wheels say.",
        )


def _explain(lines: Sequence[str], message: str) -> AirgapError:
    """Make the error of a program that failed, with its last lines."""
    if any("No space left on device" in line for line in lines):
        return StorageError(
            "The disk is full.", "Free some space and run the same command again.", lines
        )
    return CorruptError(
        message, "Nothing was kept. Ask the sender to export the Bento again.", lines
    )
