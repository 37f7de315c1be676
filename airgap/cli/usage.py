"""What is said of a command line that click refused: where a value came from, what was meant."""

import shlex
from collections.abc import Sequence

import click

from airgap.cli.settings import find_source

__all__ = ["is_env_run", "name_source", "suggest_separator"]


def name_source(error: click.ClickException) -> None:
    """Name the variable, or the line of the config file, that an invalid value comes from."""
    context, option = getattr(error, "ctx", None), getattr(error, "param", None)
    if not (isinstance(error, click.BadParameter) and context and option):
        return
    source = context.get_parameter_source(option.name)
    if source in (click.core.ParameterSource.ENVIRONMENT, click.core.ParameterSource.DEFAULT_MAP):
        error.param_hint = find_source(context, option) or error.param_hint


def is_env_run(context: click.Context, words: Sequence[str]) -> bool:
    """Tell whether an environment is named, so that further options are meant for BentoML."""
    rest = words[words.index("run") + 1 :] if "run" in words else []
    return context.command_path == "airgap env run" and not (rest or ["-"])[0].startswith("-")


def suggest_separator(option: str, words: Sequence[str]) -> str:
    """Say how an option reaches the program that `airgap env run` starts."""
    rest = list(words[words.index("run") + 1 :])
    at = next((at for at, word in enumerate(rest) if word.split("=")[0] == option), len(rest))
    name, *before = rest[:at]
    line = shlex.join([name, "--", *(before or ["serve"]), *rest[at:]])
    return f"Options for BentoML go after --: airgap env run {line}"
