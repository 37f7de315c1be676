"""``airgap config``: show what is set, and where."""

import importlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from airgap.cli.help import HelpGroup
from airgap.cli.output import Result, answers
from airgap.cli.settings import (
    GENERAL,
    SECRET,
    Option,
    Problem,
    Setting,
    Sources,
    find_lines,
    find_problems,
    find_settings,
    list_options,
)
from airgap.errors import ConfigurationError, UsageError
from airgap.printable import count_text

if TYPE_CHECKING:
    from airgap.flow.describe.config import UsedPath

_MOST_COMMANDS: Final = 3
_WIDTH: Final = 20
_HIDDEN: Final = "(set; not shown)"


@click.group(cls=HelpGroup)
def command() -> None:
    """Show what is configured. The config file is edited by hand, or with `airgap remote`."""


@command.command()
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.option("--defaults", "with_defaults", is_flag=True, help="Show what is not set, too.")
@answers
def show(*, words: tuple[str, ...], with_defaults: bool) -> Result:
    """Show what is in force, and where each value comes from.

    Shows the state folder, the config file, the stores, the options that are set for COMMAND (for
    all commands, if none is given), and the remotes. Passwords are not shown. Ends with exit code 3
    if the config file or a variable names something that does not exist.
    """
    from airgap.flow.describe.config import describe_paths, describe_remotes, read_document
    from airgap.flow.location.named_remotes import TABLE
    from airgap.flow.redaction import redact

    every = list(_list_all())
    document, text, file, fault = read_document()
    sources = Sources(document, file, find_lines(text), os.environ)
    chosen = _choose(every, words)
    settings = find_settings(chosen, sources, with_defaults=with_defaults)
    problems = find_problems(every, sources, [TABLE])
    remotes, failure = describe_remotes(document)
    for error in filter(None, (fault, failure)):
        problems.insert(0, Problem(file, error.message, error.hint))
    paths = describe_paths()
    data: dict[str, Any] = {
        "paths": {used.name: {"path": used.path, "why": used.why} for used in paths},
        "variables": {name: redact(value) for name, value in _list_variables()},
        "settings": [asdict(setting) | {"value": redact(setting.value)} for setting in settings],
        "remotes": remotes,
        "problems": [asdict(problem) for problem in problems],
    }
    lines = [*_path_lines(paths), *_variable_lines(), *map(_setting_line, settings)]
    lines += [line for remote in remotes for line in _remote_lines(remote)]
    lines += [line for problem in problems for line in _problem_lines(problem)]
    code = ConfigurationError.exit_code if problems else 0
    return Result(data, [redact(line) for line in lines], code)


def _list_all() -> Iterator[Option]:
    """Yield the options of all commands."""
    from airgap.cli.main import COMMANDS

    for name, (module, _) in COMMANDS.items():
        found: click.Command = importlib.import_module(f"airgap.cli.{module}").command
        yield from list_options(found, (name,))


def _choose(options: list[Option], words: tuple[str, ...]) -> list[Option]:
    """Return the options of a command, or of the commands of a group.

    Raises:
        UsageError: there is no such command, or it has no options.
    """
    chosen = [option for option in options if option.path[: len(words)] == words]
    if not chosen:
        raise UsageError(
            f"There is no command {' '.join(words)!r} with options.", "See `airgap --help`."
        )
    return chosen


def _list_variables() -> Iterator[tuple[str, str]]:
    """Yield the general variables that are set."""
    for name in (
        *GENERAL,
        *SECRET,
        "BENTOML_HOME",
        "BENTOML_HF_CACHE_DIR",
        "HF_HUB_CACHE",
        "HF_HOME",
    ):
        if name in os.environ:
            yield name, _HIDDEN if name in SECRET else os.environ[name]


def _path_lines(paths: "list[UsedPath]") -> Iterator[str]:
    for used in paths:
        yield f"{used.name:<{_WIDTH}}{used.path}"
        yield f"{'':<{_WIDTH}}  {used.why}"


def _variable_lines() -> Iterator[str]:
    for name, value in _list_variables():
        yield f"{'variable':<{_WIDTH}}{name} = {value}"


def _setting_line(setting: Setting) -> str:
    commands = list(setting.commands[:_MOST_COMMANDS])
    if len(setting.commands) > _MOST_COMMANDS:
        commands = [count_text(len(setting.commands), "command")]
    hidden = f", before {', '.join(setting.hidden)}" if setting.hidden else ""
    where = f"{setting.where}{hidden}" if setting.where else setting.origin
    return f"{', '.join(commands)} {setting.flag} = {setting.value or '(not set)'}  [{where}]"


def _remote_lines(remote: dict[str, Any]) -> Iterator[str]:
    yield f"remote @{remote['name']}  {remote['url']}"
    for key, value in remote["settings"].items():
        yield f"  {key} = {value}"


def _problem_lines(problem: Problem) -> Iterator[str]:
    where = f"{problem.where}: " if problem.where else ""
    yield f"problem: {where}{problem.message}"
    yield f"  → {problem.hint}"
