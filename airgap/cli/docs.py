"""``airgap docs``: read the documents where there is no network, and perhaps no browser."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.terminal import Line, Styled, measure_columns
from airgap.errors import CommandLine, UsageError
from airgap.flow.manual import ManualPage, find_site, list_pages, read_topic

if TYPE_CHECKING:
    from rich.segment import Segment

_MOST_COLUMNS: Final = 100
_LOCAL_LINK: Final = re.compile(r"\[([^\]\n]*(?:\n[^\]\n]*)?)\]\((?![a-z]+:)[^)\s]*\)")


@click.command(cls=HelpCommand)
@click.argument("topic", required=False)
@click.option("--path", "wants_path", is_flag=True, help="Print the path of the site for browsers.")
@answers
def command(*, topic: str | None, wants_path: bool) -> Result:
    """Print a page of the documents; without TOPIC, list the pages.

    TOPIC is a page, a part of one as PAGE#HEADING, or a term of the glossary. On a terminal the
    page is laid out; for another program it is Markdown. Nothing is fetched.
    """
    if wants_path:
        if topic is not None:
            raise UsageError("--path names no page.", "Leave out the topic, or --path.")
        path = find_site()
        return Result({"path": str(path)}, [CommandLine(path)])
    if topic is None:
        return _list_all()
    page = read_topic(topic)
    data = {"name": page.name, "title": page.title, "text": page.text}
    return Result(data, _lay_out(page, measure_columns(err=False)))


def _list_all() -> Result:
    pages = list_pages()
    width = max(len(page.name) for page in pages)
    lines: list[Line] = [f"{page.name.ljust(width)}  {page.title}" for page in pages]
    lines += ["", "Print one with `airgap docs PAGE`, a term with `airgap docs TERM`."]
    return Result({"pages": [{"name": page.name, "title": page.title} for page in pages]}, lines)


def _lay_out(page: ManualPage, columns: int) -> Iterator[Line]:
    """Yield the lines of a page for a terminal of so many columns; 0: as it was written."""
    if not columns:
        yield from map(CommandLine, page.text.rstrip("\n").split("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(width=min(columns, _MOST_COLUMNS), color_system="standard")
    text = _LOCAL_LINK.sub(r"\1", page.text)  # where it leads cannot be followed here
    rendered = Markdown(text, hyperlinks=False, justify="left")
    for line in console.render_lines(rendered, pad=False):
        yield tuple(_join(segment for segment in line if not segment.control))


def _join(segments: Iterable["Segment"]) -> Iterator[str | Styled]:
    """Yield the parts of a line: what is bold, and what is not."""
    groups = groupby(segments, key=lambda segment: bool(segment.style and segment.style.bold))
    parts = [("".join(segment.text for segment in group), is_bold) for is_bold, group in groups]
    for position, (text, is_bold) in enumerate(parts):
        part = text.rstrip() if position == len(parts) - 1 else text
        yield Styled(part) if is_bold and part else part
