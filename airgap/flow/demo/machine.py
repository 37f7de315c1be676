"""A side of the imaginary gap: a folder with its own stores, where commands are run and told."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from airgap.errors import ConfigurationError

__all__ = ["Machine", "Narrator", "Step", "command_line"]

_WIDTH: Final = 80
_CONTINUED: Final = " \\\n      "
_AS_MODULES: Final = ("airgap", "bentoml")
_OURS: Final = ("AIRGAP_", "BENTOML_", "HF_")


class Narrator(Protocol):
    """Told what happens, while it happens."""

    def chapter(self, title: str) -> None:
        """The story moves to another place."""
        ...

    def explain(self, text: str) -> None:
        """Say why the next command is run."""
        ...

    def command(self, line: str) -> None:
        """A command is about to run, as a person would type it."""
        ...

    def output(self, text: str) -> None:
        """Pass on what the command printed."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A command that was run: where, as typed, its exit code, and all it printed."""

    machine: str
    command: str
    exit_code: int
    output: str


class Machine:
    """One side: its name, its folder, and every step that was taken there."""

    def __init__(self, folder: Path, narrator: Narrator, steps: list[Step]) -> None:
        """Make the folder; stores and state appear in it when commands need them."""
        self.folder = folder
        self.bentoml_home = folder / "bentoml-home"
        self._narrator = narrator
        self._steps = steps
        for one in (folder, self.bentoml_home):
            one.mkdir(parents=True)

    def environment(self) -> dict[str, str]:
        """Return this process's environment, with stores and state of the machine alone."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return outer | {
            "AIRGAP_HOME": str(self.folder / "airgap-home"),
            "BENTOML_HOME": str(self.bentoml_home),
            "BENTOML_HF_CACHE_DIR": str(self.folder / "hugging-face-cache"),
            "BENTOML_DO_NOT_TRACK": "True",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": str(_WIDTH),
            "NO_COLOR": "1",
        }

    def run(self, *words: str, folder: str = ".", exit_code: int = 0, settings: str = "") -> Step:
        """Run a command and tell it and its output.

        Args:
            words: the command, as typed.
            folder: where, below the machine's folder.
            exit_code: what it must end with.
            settings: ``NAME=VALUE``, typed before the command; the value is a folder here.

        Raises:
            ConfigurationError: it ended otherwise; with what it printed.
        """
        line = command_line([*([settings] if settings else []), *words])
        self._narrator.command(line)
        name, _, value = settings.partition("=")
        extra = {name: str(self.folder / value)} if name else {}
        done = subprocess.run(  # noqa: S603  (our own commands)
            _real(words),
            cwd=self.folder / folder,
            env=self.environment() | extra,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        step = self.record(line, done.returncode, done.stdout)
        if done.returncode != exit_code:
            raise ConfigurationError(
                f"The demo's `{' '.join(words[:2])}` ended with exit code {done.returncode}.",
                "Run `airgap doctor`, and see what the command printed above.",
                done.stdout.splitlines()[-20:],
            )
        return step

    def record(self, line: str, exit_code: int, output: str) -> Step:
        """Tell the output of a command and remember it."""
        text = "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")
        self._narrator.output(text)
        step = Step(self.folder.name, line.replace(_CONTINUED, " "), exit_code, text)
        self._steps.append(step)
        return step


def command_line(words: Sequence[str]) -> str:
    """Write a command as people type it, continued on further lines where it is long."""
    lines = [""]
    for part in _parts(words):
        if lines[-1] and len(_CONTINUED) + len(lines[-1]) + len(part) > _WIDTH:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]} {part}".lstrip()
    return _CONTINUED.join(lines)


def _parts(words: Sequence[str]) -> list[str]:
    """Quote words, and keep an option with its value where both fit on a line."""
    parts: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        quoted = word if word == "&" else shlex.quote(word)
        together = len(before) + len(quoted) + 1 <= _WIDTH - len(_CONTINUED) - len(" \\")
        if before.startswith("-") and not word.startswith("-") and together:
            parts[-1] += " " + quoted
        else:
            parts.append(quoted)
    return parts


def _real(words: Sequence[str]) -> list[str]:
    """Run the ``airgap``, ``bentoml`` and ``python`` of this very Python, whatever PATH says."""
    if words[0] in _AS_MODULES:
        return [sys.executable, "-m", *words]
    return [sys.executable, *words[1:]] if words[0] == "python" else list(words)
