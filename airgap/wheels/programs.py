"""The programs that lock and fetch: uv, pip and packaging, of the environment airgap runs in."""

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from airgap.errors import ConfigurationError
from airgap.wheels.indexes import hide_credentials

__all__ = ["Programs", "RunOutcome", "find_programs", "load_packaging", "run"]


@dataclass(frozen=True, slots=True)
class Programs:
    """How uv and pip are called."""

    uv: tuple[str, ...]
    pip: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a program did; its texts are without passwords."""

    status: int
    output: str
    messages: str


def find_programs() -> Programs:
    """Find uv and pip.

    Raises:
        ConfigurationError: one of them is not installed.
    """
    try:
        uv = importlib.import_module("uv").find_uv_bin()
    except (ImportError, FileNotFoundError):
        _refuse("uv")
    if importlib.util.find_spec("pip") is None:
        _refuse("pip")
    load_packaging("packaging.tags")
    return Programs((str(uv),), (sys.executable, "-m", "pip"))


def load_packaging(name: str) -> ModuleType:
    """Import a module of packaging, which is optional.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        _refuse("packaging")


def _refuse(program: str) -> NoReturn:
    raise ConfigurationError(
        f"{program} is not installed, which is needed to collect Python packages.",
        "Install it: pip install 'bento-airgap[wheels]'",
    )


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> RunOutcome:
    """Run a program in a folder until it ends. If this process is interrupted, it is killed."""
    done = subprocess.run(  # noqa: S603  (uv and pip, no shell)
        command,
        check=False,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    return RunOutcome(done.returncode, hide_credentials(done.stdout), hide_credentials(done.stderr))
