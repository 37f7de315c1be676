"""The terminal: the only place where commands print, and where they ask a person.

What is printed names things that a medium, a server or a token has named, so every line is made
printable here. A standard stream may be closed (``2>&-``) or full: what standard error does not
take is dropped, because the exit code says the same; errors of standard output are raised.
"""

import getpass
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import click

from airgap.errors import CommandLine, ConfigurationError
from airgap.printable import count_columns, make_printable, wrap_text

__all__ = [
    "ClaimLine",
    "Line",
    "Styled",
    "ask",
    "ask_hidden",
    "can_ask",
    "choose_colour",
    "confirm",
    "discard_output",
    "indent_line",
    "is_coloured",
    "is_progress_shown",
    "measure_columns",
    "open_standard_descriptors",
    "print_error_line",
    "print_json",
    "print_line",
    "print_text",
]

_LAST_STANDARD_DESCRIPTOR: Final = 2
_COLUMNS: Final = 80
_LEAST_COLUMNS: Final = 20
_CHOSEN: Final = ["auto"]
_COMMAND: Final = re.compile(r"(?:^ *|: )airgap\b")
"""Where a command begins that a line ends with."""
_CONTINUES: Final = " \\"
"""What a shell takes for the end of a row, and not of a command."""


@dataclass(frozen=True, slots=True)
class Styled:
    """A part of a line that stands out where the terminal has colours."""

    text: str
    colour: str | None = None
    bold: bool = True


class ClaimLine(str):
    """A line with text that somebody else chose; nothing of it is cut.

    On a terminal, each row after the first begins with "…". A text that fills a row exactly would
    otherwise continue at the beginning of the next one, and look like lines of airgap's own.
    """

    __slots__ = ()


Line = str | tuple[str | Styled, ...]


def indent_line(line: str) -> str:
    """Indent a line by two columns."""
    return ClaimLine(f"  {line}") if isinstance(line, ClaimLine) else f"  {line}"


def print_line(line: Line, *, err: bool = False) -> None:
    """Print one line, on standard output or error.

    Raises:
        OSError: standard output is full, or its reader has gone.
    """
    if isinstance(line, ClaimLine):
        _echo(_lay_out_claim(make_printable(line), measure_columns(err=err)), err=err)
        return
    parts: tuple[str | Styled, ...] = (line,) if isinstance(line, str) else line
    text, columns = _join_parts(parts), measure_columns(err=err)
    if isinstance(line, CommandLine) or not columns or count_columns(text) <= columns:
        _echo("".join(map(_render, parts)), err=err)
        return
    text, first = _lay_out(text, columns), parts[0]
    start = _join_parts(parts[:1])
    if isinstance(first, Styled) and text.startswith(start):
        text = _render(first) + text.removeprefix(start)
    _echo(text, err=err)


def print_error_line(text: str, *, indent: str = "  ", colour: str | None = None) -> None:
    """Print a line of an error on standard error; on a terminal, in rows that end at spaces.

    No word is broken: a path can be copied from the terminal.
    """
    line, columns = make_printable(text), measure_columns(err=True)
    rows = wrap_text(line, columns, indent=indent) if columns else [line]
    _echo(
        "\n".join(click.style(row, fg=colour, bold=bool(colour) or None) for row in rows), err=True
    )


def measure_columns(*, err: bool) -> int:
    """Return how wide the terminal is that a stream writes to; 0 if it is none."""
    stream = sys.stderr if err else sys.stdout
    if stream is None or not stream.isatty():
        return 0
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max(columns or _COLUMNS, _LEAST_COLUMNS)


def print_text(text: str, *, err: bool = False) -> None:
    """Print a text of several lines; raises as ``print_line``."""
    for line in text.split("\n"):
        print_line(line, err=err)


def print_json(value: Any, *, err: bool = False) -> None:  # noqa: ANN401  (what JSON has)
    """Print one object in ASCII: a path may hold what UTF-8 cannot; raises as ``print_line``."""
    _echo(make_printable(json.dumps(value)), err=err)


def can_ask() -> bool:
    """Return whether standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def is_progress_shown() -> bool:
    """Return whether standard error is a terminal, on which a line can be replaced."""
    return sys.stderr is not None and sys.stderr.isatty() and not _is_dumb()


def ask(question: str) -> str:
    """Ask for a line; it may be empty."""
    answer: str = click.prompt(make_printable(question), default="", show_default=False, err=True)
    return answer.strip()


def ask_hidden(question: str) -> str:
    """Ask for a secret, without echo.

    Raises:
        ConfigurationError: nothing was typed.
    """
    try:
        return getpass.getpass(make_printable(question))
    except EOFError as error:
        raise ConfigurationError("Nothing was typed.", "Run it again, and type it.") from error


def confirm(question: str) -> None:
    """Ask whether to go on.

    Raises:
        click.Abort: the answer is no.
    """
    click.confirm(make_printable(question), abort=True, err=True)


def open_standard_descriptors() -> None:
    """Open the null device under each of the descriptors 0 to 2 that is closed.

    Otherwise the next file that is opened, such as the ledger, gets that number, and a library or
    a program that prints writes into it.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > _LAST_STANDARD_DESCRIPTOR:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)  # noqa: FBT003  (the library's signature)


def discard_output() -> None:
    """Drop what a full disk or a closed pipe did not take, so that exiting is quiet.

    Python flushes both streams when it exits, and would exit with 120 if that failed.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # not a real file: a test, or closed
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def choose_colour(when: str) -> None:
    """Print in colour always, never, or (auto) on a terminal that has it.

    NO_COLOR and TERM=dumb mean that it has none.
    """
    _CHOSEN[:] = [when]


def is_coloured() -> bool | None:
    """Return whether to print in colour; None means that it depends on the stream."""
    when = _CHOSEN[0]
    if when == "auto":
        return False if os.environ.get("NO_COLOR") or _is_dumb() else None
    return when == "always"


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"


def _echo(text: str, *, err: bool) -> None:
    if not err:
        click.echo(text, color=is_coloured())
        return
    with suppress(OSError):
        click.echo(text, err=True, color=is_coloured())


def _lay_out_claim(line: str, columns: int) -> str:
    if not columns:
        return line
    margin = " " * min(len(line) - len(line.lstrip(" ")), columns // 2)
    return "\n".join(wrap_text(line, columns, indent=f"{margin}  … ", breaks_words=True))


def _join_parts(parts: Sequence[str | Styled]) -> str:
    return "".join(make_printable(part if isinstance(part, str) else part.text) for part in parts)


def _lay_out(line: str, columns: int) -> str:
    """Break a line at spaces, so that words stay whole; a command can still be copied to a shell.

    A terminal would break it anywhere: in an id, or in "3.1 MB".
    """
    margin = " " * min(len(line) - len(line.lstrip(" ")), columns // 2)
    is_command = _COMMAND.search(line)
    width = columns - len(_CONTINUES) if is_command else columns
    rows = wrap_text(line, width, indent=f"{margin}    ")
    if not is_command:
        return "\n".join(rows)
    begun = next(number for number, row in enumerate(rows) if _COMMAND.search(row))
    ends = [_CONTINUES if number >= begun else "" for number in range(len(rows) - 1)]
    return "\n".join(f"{row}{end}" for row, end in zip(rows, [*ends, ""], strict=True))


def _render(part: str | Styled) -> str:
    if isinstance(part, str):
        return make_printable(part)
    return click.style(make_printable(part.text), fg=part.colour, bold=part.bold)
