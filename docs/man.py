"""Write a manual page for each command, in section 1: ``python docs/man.py FOLDER``.

The text is that of ``--help``. The same commands give the same bytes: pages have no date.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from airgap.cli.examples import find_examples
from airgap.cli.help import sort_options
from airgap.cli.main import cli
from airgap.version import __version__

PROGRAM: Final = "airgap"
WIDEST: Final = 10_000
EXIT_CODES: Final = (
    ("0", "Done."),
    ("1", "A bug in airgap."),
    ("2", "The command line is wrong."),
    ("3", "The configuration is wrong."),
    ("10", "Something is damaged."),
    ("11", "Something is not trusted."),
    ("12", "A rule of the site forbids it."),
    ("13", "Something is missing."),
    ("14", "It conflicts with what is there."),
    ("15", "A file or a folder of this machine cannot be read or written."),
    ("16", "A server or the network failed."),
    ("130", "The command was interrupted."),
)


def main() -> int:
    """Write the pages into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write a manual page for each command.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("AIRGAP_")]:
        del os.environ[name]  # a page shows no default of this machine
    context = click.Context(
        cli,
        info_name=PROGRAM,
        terminal_width=WIDEST,
        max_content_width=WIDEST,
        help_option_names=["-h", "--help"],
    )
    pages = list(walk(context))
    for page in pages:
        name = page.command_path.replace(" ", "-")
        text = "".join(f"{line}\n" for line in write_page(page))
        (folder / f"{name}.1").write_text(text, encoding="ascii")
    print(f"{folder}: {len(pages)} manual pages")
    return 0


def walk(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command, and those of the commands below it."""
    yield context
    for name, command in list_commands(context):
        yield from walk(click.Context(command, info_name=name, parent=context))


def list_commands(context: click.Context) -> list[tuple[str, click.Command]]:
    """Return the commands of a group by name; none of another command."""
    group = context.command
    if not isinstance(group, click.Group):
        return []
    found = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return [(name, command) for name, command in found if command is not None]


def write_page(context: click.Context) -> Iterator[str]:
    """Yield the lines of a page."""
    path = context.command_path
    title = path.replace(" ", "-")
    yield f'.TH "{escape(title.upper())}" 1 "" "airgap {__version__}" "airgap"'
    yield ".SH NAME"
    summary = context.command.get_short_help_str(WIDEST).rstrip(".")
    yield f"{escape(title)} \\- {escape(summary)}"
    yield ".SH SYNOPSIS"
    pieces = [piece.replace("...", "…") for piece in context.command.collect_usage_pieces(context)]
    yield f".B {escape(path)}"
    yield escape(" ".join(pieces))
    yield ".SH DESCRIPTION"
    yield from write_paragraphs(context.command.help or "")
    for topic, rows in sort_options(context.command.get_params(context), context).items():
        yield f".SH {escape(topic.upper())}"
        yield from write_terms(rows)
    commands = list_commands(context)
    if commands:
        yield ".SH COMMANDS"
        yield from write_terms(
            [(name, command.get_short_help_str(WIDEST)) for name, command in commands]
        )
    yield from write_examples(context)
    yield ".SH EXIT STATUS"
    yield from write_terms(EXIT_CODES)
    yield ".SH SEE ALSO"
    yield from list_others(context)


def write_paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs, which blank lines separate."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield escape(" ".join(paragraph.split()))


def write_terms(rows: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield terms, each with its text below it."""
    for term, text in rows:
        yield ".TP"
        yield f"\\fB{escape(term)}\\fR"
        yield escape(" ".join(text.split()) or term)


def write_examples(context: click.Context) -> Iterator[str]:
    """Yield the examples of a command, as they are typed."""
    is_group = isinstance(context.command, click.Group)
    examples = find_examples(context.command_path, is_group=is_group)
    if examples:
        yield ".SH EXAMPLES"
    for example in examples:
        yield ".PP"
        yield f"{escape(example.text)}:"
        yield ".PP"
        yield ".nf"
        yield ".RS 4"
        yield from map(escape, example.line.split("\n"))
        yield ".RE"
        yield ".fi"


def list_others(context: click.Context) -> Iterator[str]:
    """Yield references to the command above, those below, and the documents."""
    above = [context.parent.command_path] if context.parent else []
    below = [f"{context.command_path} {name}" for name, _ in list_commands(context)]
    for path in (*above, *below):
        yield f".BR {escape(path.replace(' ', '-'))} (1),"
    yield ".B airgap docs"
    yield "prints the documents, and what a term means."


def escape(text: str) -> str:
    r"""Write a line so that roff prints it as it is: ``-`` stays ``-``, and nothing is a request.

    >>> escape(".so a-b\\c…")
    '\\&.so a\\-b\\ec\\[u2026]'
    """
    line = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    line = line.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq")
    line = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in line)
    return f"\\&{line}" if line.startswith(".") else line


if __name__ == "__main__":
    sys.exit(main())
