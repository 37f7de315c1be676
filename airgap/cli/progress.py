"""Progress for people: a bar on a terminal, else lines in a file."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from airgap.cli import terminal
from airgap.flow.progress import Progress, Silent
from airgap.printable import duration_text, make_printable, size_text

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn, Task

__all__ = ["BarProgress", "LineProgress", "make_progress"]

_FIRST_SECONDS: Final = 5.0
_WITH_BAR: Final = 60
_WITH_RATE: Final = 70
_MOST_SECONDS: Final = 300.0
"""Of a silence: some CI services end a job that prints nothing for ten minutes."""


def make_progress() -> Progress:
    """Return a progress display: a bar on a terminal, lines in a file, nothing with ``--quiet``."""
    if click.get_current_context().obj["quiet"]:
        return Silent()
    return BarProgress() if terminal.is_progress_shown() else LineProgress()


def _make_columns(width: int) -> "list[ProgressColumn]":
    """Return what fits in one row of a terminal: the name of the item gets what is left."""
    from rich import progress
    from rich.table import Column

    one_row = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns: list[ProgressColumn] = [
        progress.TextColumn("{task.description}", markup=False, table_column=one_row)
    ]
    if width >= _WITH_BAR:
        columns.append(progress.BarColumn(bar_width=width // 8))
    columns.append(progress.DownloadColumn(table_column=Column(no_wrap=True)))
    if width >= _WITH_RATE:
        columns.append(progress.TransferSpeedColumn(table_column=Column(no_wrap=True)))
    return [*columns, _make_left_column()]


def _make_left_column() -> "ProgressColumn":
    """Return the column with the time left."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Left(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: "Task") -> Text:
            left = task.time_remaining
            return Text("" if left is None else f"{duration_text(left)} left", no_wrap=True)

    return Left()


class LineProgress:
    """Plain lines on standard error: after 5 s, then after twice as long each time, up to 5 min."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to measure when a stage begins."""
        self._clock = clock
        self._what, self._item, self._total, self._done = "", "", 0, 0
        self._began = self._next = self._pause = 0.0

    def begin(self, what: str, total: int) -> None:
        """Remember the stage."""
        self._what, self._item, self._total, self._done = what, "", total, 0
        self._began, self._pause = self._clock(), _FIRST_SECONDS
        self._next = self._began + self._pause

    def name_item(self, name: str) -> None:
        """Remember the item."""
        self._item = f" {name}"

    def advance(self, count: int) -> None:
        """Print a line if it is time for one."""
        self._done += count
        now = self._clock()
        if now < self._next:
            return
        self._pause = min(2 * self._pause, _MOST_SECONDS)
        self._next = now + self._pause
        rate = self._done / max(now - self._began, 0.001)
        left = max(self._total - self._done, 0) / max(rate, 1)  # a total may be an estimate
        terminal.print_line(
            f"{self._what}{self._item}: {size_text(self._done)} of {size_text(self._total)},"
            f" {size_text(rate)}/s, {duration_text(left)} left",
            err=True,
        )

    def end(self) -> None:
        """Print nothing: the result follows."""

    def note(self, text: str) -> None:
        """Print it."""
        terminal.print_line(_redact(text), err=True)


class BarProgress:
    """A bar with the item, bytes, rate and time left, on standard error."""

    def __init__(self) -> None:
        """Show nothing before the first stage."""
        self._bar: Bar | None = None
        self._what = ""

    def begin(self, what: str, total: int) -> None:
        """Show a bar."""
        from rich.console import Console
        from rich.progress import Progress as Bar

        console = Console(stderr=True, no_color=terminal.is_coloured() is False)
        columns = _make_columns(console.width)
        self._what = make_printable(what)
        self._bar = Bar(*columns, console=console, transient=True, expand=True)
        self._bar.add_task(self._what, total=total)
        self._bar.start()

    def name_item(self, name: str) -> None:
        """Show the item before the bar."""
        if self._bar is not None:
            description = f"{self._what} {make_printable(name)}"
            self._bar.update(self._bar.task_ids[0], description=description)

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def note(self, text: str) -> None:
        """Print it above the bar."""
        if self._bar is not None:
            line = make_printable(_redact(text))
            self._bar.console.print(line, highlight=False, markup=False, emoji=False)
        else:
            terminal.print_line(_redact(text), err=True)


def _redact(text: str) -> str:
    from airgap.flow.redaction import redact

    return redact(text)
