"""What is set for the options of commands, and where: variables, the config file, defaults."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

import click

__all__ = [
    "Option",
    "Problem",
    "Setting",
    "Sources",
    "find_lines",
    "find_problems",
    "find_settings",
    "find_source",
    "find_unknown_variables",
    "list_options",
    "name_options",
    "suggest",
]

PREFIX: Final = "AIRGAP_"
GENERAL: Final = (
    *("AIRGAP_HOME", "AIRGAP_CONFIG", "AIRGAP_COLOR", "AIRGAP_DEPOT", "AIRGAP_IDENTITY"),
    *("AIRGAP_PKCS11_MODULE", "AIRGAP_RECORDER_KEY"),
)
"""Variables that belong to no option of a command."""
SECRET: Final = ("AIRGAP_PASSPHRASE", "AIRGAP_PASSWORD")
_NAME_VARIABLES: Final = ("PASSWORD_ENV", "PASSPHRASE_ENV")
"""Ends of the names of variables that name another variable."""
_VALUES: Final = (bool, int, float, str, Path, list, tuple)
_HEADER: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY: Final = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command, with its name in the config file, and its variables."""

    path: tuple[str, ...]
    flag: str
    name: str
    variables: tuple[str, ...]
    default: str

    @property
    def command(self) -> str:
        """The command as it is typed."""
        return " ".join(self.path)


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option, for the commands that take it from the same place."""

    flag: str
    value: str
    origin: Literal["variable", "config file", "default"]
    where: str
    """The variable, or the file and line."""
    commands: tuple[str, ...]
    hidden: tuple[str, ...] = field(default=())
    """Where it is set, too, without effect."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A name that no command has, where it is, and what may have been meant."""

    where: str
    message: str
    hint: str


def name_options(command: click.Command) -> dict[str, str]:
    """Map the config file's names of options to click's."""
    return {
        max(option.opts, key=len).lstrip("-").replace("-", "_"): str(option.name)
        for option in command.params
        if isinstance(option, click.Option)
        and option.name != "as_json"
        and option.allow_from_autoenv
    }


def list_options(command: click.Command, path: tuple[str, ...]) -> Iterator[Option]:
    """Yield the options of a command, or of the commands of a group."""
    if isinstance(command, click.Group):
        for name, subcommand in command.commands.items():
            yield from list_options(subcommand, (*path, name))
        return
    options = {option.name: option for option in command.params}
    for name, parameter in name_options(command).items():
        option = options[parameter]
        own = option.envvar or ()
        given = (own,) if isinstance(own, str) else tuple(own)
        variable = "_".join(["AIRGAP", *path, parameter]).upper()
        unset = "no" if isinstance(option, click.Option) and option.is_flag else ""
        default = _write(option.default) if isinstance(option.default, _VALUES) else unset
        yield Option(path, max(option.opts, key=len), name, (*given, variable), default)


def find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each section and key of a config file, counted from 1."""
    lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            lines.setdefault((*section, key[1]), number)
    return lines


@dataclass(frozen=True, slots=True)
class Sources:
    """Where options are set: the config file, with its path and lines, and the environment."""

    document: Mapping[str, Any]
    file: str
    lines: Mapping[tuple[str, ...], int]
    environment: Mapping[str, str]

    def locate(self, *keys: str) -> str:
        """Return file and line of a key."""
        line = self.lines.get(keys)
        return f"{self.file}:{line}" if line else self.file


def find_settings(
    options: Sequence[Option], sources: Sources, *, with_defaults: bool
) -> list[Setting]:
    """Return what is set, one for each value and place; ``with_defaults``: what is not set, too."""
    found: dict[tuple[str | tuple[str, ...], ...], Setting] = {}
    for option in options:
        setting = _find_setting(option, sources)
        if setting.origin == "default" and not with_defaults:
            continue
        key = (setting.flag, setting.value, setting.where or option.command, setting.hidden)
        same = found.get(key)
        commands = (*(same.commands if same else ()), option.command)
        found[key] = replace(setting, commands=commands)
    return list(found.values())


def find_problems(
    options: Sequence[Option], sources: Sources, others: Sequence[str]
) -> list[Problem]:
    """Return the names in the config file and in the environment that no command has.

    ``others`` are the sections that belong to no command.
    """
    return [
        *_find_unknown_keys(options, sources, others),
        *find_unknown_variables(options, sources.environment),
    ]


def suggest(name: str, names: Sequence[str]) -> str:
    """Return which name may have been meant, as a sentence; empty if none is close."""
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else ""


def _find_setting(option: Option, sources: Sources) -> Setting:
    places: list[tuple[Literal["variable", "config file"], str, str]] = [
        ("variable", sources.environment[variable], variable)
        for variable in option.variables
        if sources.environment.get(variable)
    ]
    section: Any = sources.document
    for name in option.path:
        section = section.get(name, {}) if isinstance(section, dict) else {}
    for table, keys in ((section, (*option.path, option.name)), (sources.document, (option.name,))):
        if isinstance(table, dict) and option.name in table:
            value = table[option.name]
            if not isinstance(value, dict):
                places.append(("config file", _write(value), sources.locate(*keys)))
    if not places:
        return Setting(option.flag, option.default, "default", "", ())
    origin, value, where = places[0]
    return Setting(option.flag, value, origin, where, (), tuple(place[2] for place in places[1:]))


def _find_unknown_keys(
    options: Sequence[Option], sources: Sources, others: Sequence[str]
) -> Iterator[Problem]:
    names = {option.name for option in options}
    groups = {option.path[:depth] for option in options for depth in range(1, len(option.path) + 1)}
    for key, value in sources.document.items():
        if isinstance(value, dict) and key not in others:
            yield from _check_section((key,), value, options, groups, sources)
        elif not isinstance(value, dict) and key not in names:
            yield _name_unknown((key,), sorted(names), "an option", sources)


def _check_section(
    path: tuple[str, ...],
    section: Mapping[str, Any],
    options: Sequence[Option],
    groups: set[tuple[str, ...]],
    sources: Sources,
) -> Iterator[Problem]:
    if path not in groups:
        near = sorted({group[-1] for group in groups if group[:-1] == path[:-1]})
        yield _name_unknown(path, near, "a command", sources)
        return
    names = sorted({option.name for option in options if option.path == path})
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _check_section((*path, key), value, options, groups, sources)
        elif key not in names:
            yield _name_unknown((*path, key), names, f"an option of {' '.join(path)}", sources)


def _name_unknown(
    path: tuple[str, ...], names: Sequence[str], kind: str, sources: Sources
) -> Problem:
    hint = suggest(path[-1], names) or "`airgap COMMAND --help` lists the options."
    return Problem(sources.locate(*path), f"{'.'.join(path)} is not {kind}.", hint)


def find_unknown_variables(
    options: Sequence[Option], environment: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield the variables whose names begin as airgap's do, and which no option has."""
    known = {variable for option in options for variable in option.variables}
    known |= {*GENERAL, *SECRET}
    named = {value for name, value in environment.items() if name.endswith(_NAME_VARIABLES)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known | named:
            hint = suggest(name, sorted(known))
            yield Problem(name, f"The variable {name} sets nothing.", hint or "Unset it.")


def find_source(context: click.Context, parameter: click.Parameter) -> str:
    """Return the variable, or the option with file and line, that a value was taken from."""
    path = tuple(context.command_path.split()[1:])
    flag = max(parameter.opts, key=len)
    options = list_options(context.command, path)
    option = next((option for option in options if option.flag == flag), None)
    if option is None:
        return ""
    from airgap.flow.describe.config import read_document

    document, text, file, _ = read_document()
    sources = Sources(document, file, find_lines(text), os.environ)
    setting = _find_setting(option, sources)
    return setting.where if setting.origin == "variable" else f"{option.name} in {setting.where}"


def _write(value: object) -> str:
    """Write a value as a person would: lists with commas, switches as yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
