"""The help of every command, as it looks on a terminal of 80 columns."""

from collections.abc import Iterator

import click
import pytest

from airgap.cli.main import _HEADINGS, COMMANDS, cli


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
