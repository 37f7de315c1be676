"""``airgap demo``: carry a small Bento across an imaginary gap."""

import json
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.terminal import Line, Styled, print_line

_WIDTH: Final = 80


@click.command(name="demo", cls=HelpCommand)
@click.option("--keep", is_flag=True, help="Keep the demo's folder.")
@click.option(
    "--with-env",
    is_flag=True,
    help="Carry its Python packages too, and serve it in an environment made from them. Needs a"
    " package index, and the extra wheels.",
)
@reports
def command(*, keep: bool, with_env: bool) -> Result:
    """Build, export, carry, verify, import and serve a real Bento, in a temporary folder.

    Shows each command as you would type it, and what it prints. Needs bentoml and, without
    --with-env, no network. Nothing outside the folder is touched.
    """
    from airgap.flow.demo import scenario

    context = click.get_current_context()
    display = TerminalDisplay(silent=context.obj["quiet"], on_stderr=context.params["as_json"])
    with _folder(keep=keep) as folder:
        if keep:
            display.show_text(f"The demo runs in {folder}, which stays.")
        result = scenario.run_demo(folder, display, with_env=with_env)
    data: dict[str, Any] = {
        "bundle": result.bundle,
        "request": scenario.QUESTION,
        "prediction": result.prediction,
        "refusal": asdict(result.refusal),
        "steps": [asdict(step) for step in result.steps],
        "folder": str(folder) if keep else None,
    }
    lines = [
        "",
        f"Served by the imported Bento: {json.dumps(result.prediction)}",
        f"The bundle with one changed byte was refused with exit code {result.refusal.exit_code}.",
        "Your own Bento: run `airgap init SITE`. docs/six-commands.md goes on.",
    ]
    return Result(data, lines)


class TerminalDisplay:
    """Shows the demo on a terminal: commands stand out where the terminal has colours."""

    def __init__(self, *, silent: bool, on_stderr: bool) -> None:
        """Choose whether anything is shown, and on which stream."""
        self._silent = silent
        self._on_stderr = on_stderr

    def show_heading(self, title: str) -> None:
        """Print a heading across the width."""
        self._print("", (Styled(f"── {title} ".ljust(_WIDTH, "─")),))

    def show_text(self, text: str) -> None:
        """Print a short paragraph."""
        filled = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        self._print("", *((Styled(line, "yellow", bold=False),) for line in filled))

    def show_command(self, line: str) -> None:
        """Print a command behind a prompt."""
        first, *others = line.split("\n")
        self._print(
            (Styled("$ ", "green", bold=False), Styled(first)),
            *((Styled(other),) for other in others),
        )

    def show_output(self, text: str) -> None:
        """Print what a command printed, as it is."""
        if text:
            self._print(*text.split("\n"))

    def _print(self, *lines: Line) -> None:
        if not self._silent:
            for line in lines:
                print_line(line, err=self._on_stderr)


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """Make a folder for the demo, and remove it at the end unless it is to be kept."""
    if keep:
        yield Path(tempfile.mkdtemp(prefix="airgap-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="airgap-demo-") as folder:
        yield Path(folder)
