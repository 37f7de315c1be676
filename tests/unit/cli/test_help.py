"""The help of every command, as it looks on a terminal of 80 columns."""

import re
import shlex
from collections.abc import Iterator, Sequence

import click
import pytest

from airgap.cli.examples import EXAMPLES, Example, break_line, find_examples
from airgap.cli.help import HelpCommand
from airgap.cli.main import _HEADINGS, COMMANDS, cli
from tests.support import sides


def _every(
    command: click.Command, words: str, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Context]]:
    """Every command with its words, and a context of 80 columns."""
    name = words.rpartition(" ")[2]
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=80,
        max_content_width=80,
        help_option_names=["-h", "--help"],  # commands keep the first that they are shown with
    )
    yield words, context
    if isinstance(command, click.Group):
        for one in command.list_commands(context):
            below = command.get_command(context, one)
            assert below is not None
            yield from _every(below, f"{words} {one}", context)


everything = [pytest.param(context, id=words) for words, context in _every(cli, "airgap")]


@pytest.mark.parametrize("context", everything)
def test_help_fits_into_eighty_columns(context: click.Context) -> None:
    assert max(map(len, context.get_help().splitlines())) <= 80


@pytest.mark.parametrize("context", everything)
def test_help_is_told_in_whole_sentences(context: click.Context) -> None:
    _, *lines = context.get_help().splitlines()

    assert [line for line in lines if line.endswith("...") and "PLACE" not in line] == []


@pytest.mark.parametrize("context", everything)
def test_values_are_named_by_what_they_are(context: click.Context) -> None:
    options = [one for one in context.command.params if isinstance(one, click.Option)]

    unnamed = {"PATH", "INTEGER RANGE", "FLOAT RANGE", "TEXT"}
    assert {one.name for one in options if one.make_metavar(context) in unnamed} <= {
        "note",
        "reason",
    }


@pytest.mark.parametrize("context", everything)
def test_options_that_all_commands_have_come_last(context: click.Context) -> None:
    named = [one.name for one in context.command.params]

    if "as_json" in named:
        assert named[-2:] == ["as_json", "quiet"]


def test_every_command_stands_below_a_heading() -> None:
    assert next(iter(COMMANDS)) in _HEADINGS
    assert set(_HEADINGS) <= set(COMMANDS)


def test_every_command_that_reads_a_place_can_log_in_there() -> None:
    reading = {"import", "verify", "split", "inspect", "diff", "copy", "sign", "push", "pull"}
    can = {words.split()[-1] for words, one in _every(cli, "airgap") if _logs_in(one.command)}

    assert reading <= can


def _logs_in(command: click.Command) -> bool:
    return any(one.name == "password_env" for one in command.params)


# ---- topics


def _help(*words: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = sides.run_cli((*words, "--help"), {})
    assert ran.code == 0
    lines: list[str] = ran.out.splitlines()
    return lines


def _headings(lines: Sequence[str]) -> list[str]:
    return [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]


def test_a_command_with_many_options_lists_them_by_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    headings = _headings(_help("export", columns=80, monkeypatch=monkeypatch))

    assert headings == [
        *("Options", "What travels", "Python packages", "Terms of the bundle", "Sealing"),
        *("Volumes", "Signing", "Reaching a server", "General", "Examples"),
    ]


def test_a_command_with_few_options_lists_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _headings(_help("list", columns=80, monkeypatch=monkeypatch)) == ["Options", "Examples"]


def test_the_channel_of_an_import_is_what_it_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _help("import", columns=80, monkeypatch=monkeypatch)

    above = lines[: next(row for row, line in enumerate(lines) if "--channel NAME" in line)]
    assert _headings(above)[-1] == "Which bundles are accepted"


@pytest.mark.parametrize(("columns", "most"), [(80, 80), (90, 90), (100, 100), (200, 100)])
def test_help_is_as_wide_as_the_terminal_up_to_a_hundred_columns(
    columns: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    widest = max(map(len, _help("export", columns=columns, monkeypatch=monkeypatch)))

    assert most - 10 < widest <= most


def test_every_option_stands_in_one_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    command = cli.get_command(click.Context(cli), "export")
    assert command is not None
    text = "\n".join(_help("export", columns=100, monkeypatch=monkeypatch))

    flags = [max(one.opts, key=len) for one in command.params if isinstance(one, click.Option)]
    assert [
        flag for flag in flags if len(re.findall(rf"(?m)^  (-\w, )?{flag}(?= |$)", text)) != 1
    ] == []


# ---- examples


def _words(example: Example) -> list[str]:
    """The words of a command line, up to where a shell redirects."""
    words = shlex.split(example.line.replace("\\\n", " "))
    redirections = [words.index(mark) for mark in ("<", ">", "|") if mark in words]
    return words[: min(redirections, default=len(words))]


@pytest.mark.parametrize("context", everything)
def test_every_command_has_two_examples(context: click.Context) -> None:
    is_group = isinstance(context.command, click.Group)

    assert is_group or isinstance(context.command, HelpCommand)
    assert len(set(find_examples(context.command_path, is_group=is_group))) == 2
    assert "\nExamples:\n" in context.get_help()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.line[:40])
def test_every_example_is_a_command_line(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRGAP_KEY", "builder.key")
    program, *words = _words(example)
    context = click.Context(cli, info_name=program)

    assert program == "airgap"
    while isinstance(context.command, click.Group):
        name, command, words = context.command.resolve_command(context, words)
        assert command is not None
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
        else:  # raises where an option or an argument is wrong; runs nothing
            context = command.make_context(name, words, parent=context)


def test_no_example_is_left_out() -> None:
    assert [example.line for example in EXAMPLES if example not in _shown()] == []


def _shown() -> list[Example]:
    return [
        example
        for words, context in _every(cli, "airgap")
        if not isinstance(context.command, click.Group)
        for example in find_examples(words)
    ]


def test_an_example_says_in_one_line_what_it_does() -> None:
    assert [
        example
        for example in EXAMPLES
        if not example.text[0].isupper()
        or example.text[-1] in ".:"
        or len(example.text) > 77
        or max(map(len, example.line.split("\n"))) > 76
    ] == []


@pytest.mark.parametrize("columns", [40, 60, 76])
def test_a_broken_example_is_the_same_command_line(columns: int) -> None:
    for example in EXAMPLES:
        rows = break_line(example.line, columns)

        again = Example("", "\n".join(rows))
        assert _words(again) == _words(example)
        long = [row.removesuffix(" \\") for row in rows if len(row) > columns]
        assert [row for row in long if len(shlex.split(row, posix=False)) > 1] == []
