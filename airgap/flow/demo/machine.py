"""One side of the gap: a folder with its own stores, where the demo runs commands."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from airgap.errors import ConfigurationError
from airgap.flow.demo.server import LOOPBACK

__all__ = ["DemoDisplay", "Machine", "Step", "format_command"]

_WIDTH: Final = 80
_CONTINUED: Final = " \\\n      "
_AS_MODULES: Final = ("airgap", "bentoml")
_OURS: Final = ("AIRGAP_", "BENTOML_", "HF_")


class DemoDisplay(Protocol):
    """Shows the demo while it runs."""

    def show_heading(self, title: str) -> None:
        """Show the heading of a part."""
        ...

    def show_text(self, text: str) -> None:
        """Show why the next command is run."""
        ...

    def show_command(self, line: str) -> None:
        """Show a command that is about to run, as a person would type it."""
        ...

    def show_output(self, text: str) -> None:
        """Show what the command printed."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A command that was run: where, as typed, its exit code, and all it printed."""

    machine: str
    command: str
    exit_code: int
    output: str


class Machine:
    """One side: a folder, and every command that was run there."""

    def __init__(
        self, folder: Path, display: DemoDisplay, steps: list[Step], *, offline: bool = True
    ) -> None:
        """Make the folder; stores and state appear in it when commands need them.

        ``offline`` tells libraries of Hugging Face to look for no server.
        """
        self._offline = offline
        self.folder = folder
        self.bentoml_home = folder / "bentoml-home"
        self.hugging_face_cache = folder / "hugging-face-cache"
        self._display = display
        self._steps = steps
        for path in (folder, self.bentoml_home):
            path.mkdir(parents=True)

    def environment(self) -> dict[str, str]:
        """Return this process's environment, with stores and state of the machine alone."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return outer | {
            "AIRGAP_HOME": str(self.folder / "airgap-home"),
            "BENTOML_HOME": str(self.bentoml_home),
            "BENTOML_HF_CACHE_DIR": str(self.hugging_face_cache),
            "BENTOML_DO_NOT_TRACK": "True",
            "HF_HUB_OFFLINE": str(int(self._offline)),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), _without_proxy(outer)),
            "COLUMNS": str(_WIDTH),
            "NO_COLOR": "1",
        }

    def run(self, *words: str, folder: str = ".", exit_code: int = 0, settings: str = "") -> Step:
        """Run a command; show it and its output.

        Args:
            words: the command, as typed.
            folder: where, below the machine's folder.
            exit_code: what it must end with.
            settings: ``NAME=VALUE``, typed before the command; the value is a URL, or a folder
                here.

        Raises:
            ConfigurationError: it ended otherwise; with what it printed.
        """
        line = format_command([*([settings] if settings else []), *words])
        self._display.show_command(line)
        name, _, value = settings.partition("=")
        path = value if "://" in value else str(self.folder / value)
        extra = {name: path} if name else {}
        done = subprocess.run(  # noqa: S603  (our own commands)
            _find_command(words),
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
        """Show the output of a command and keep it."""
        text = "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")
        self._display.show_output(text)
        step = Step(self.folder.name, line.replace(_CONTINUED, " "), exit_code, text)
        self._steps.append(step)
        return step


def _without_proxy(environment: Mapping[str, str]) -> str:
    """Return the hosts that are reached without a proxy: the demo's servers, too."""
    others = environment.get("no_proxy") or environment.get("NO_PROXY")
    return f"{others},{LOOPBACK}" if others else LOOPBACK


def format_command(words: Sequence[str]) -> str:
    """Write a command as people type it, continued on further lines where it is long."""
    lines = [""]
    for part in _quote_words(words):
        if lines[-1] and len(_CONTINUED) + len(lines[-1]) + len(part) > _WIDTH:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]} {part}".lstrip()
    return _CONTINUED.join(lines)


def _quote_words(words: Sequence[str]) -> list[str]:
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


def _find_command(words: Sequence[str]) -> list[str]:
    """Run the ``airgap``, ``bentoml`` and ``python`` of this very Python, whatever PATH says."""
    if words[0] in _AS_MODULES:
        return [sys.executable, "-m", *words]
    return [sys.executable, *words[1:]] if words[0] == "python" else list(words)
