"""``airgap env list``: list the environments of this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, size_text

if TYPE_CHECKING:
    from airgap.flow.environment.list_environments import ListedEnvironment


@click.command(name="list", cls=HelpCommand)
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path))
@answers
def list_(*, folders: tuple[Path, ...]) -> Result:
    """List the environments in BentoML's home, and those in each DIR."""
    from airgap.flow.environment.list_environments import (
        describe_environment,
        list_environments,
    )

    environments = list(list_environments(folders))
    data = [
        {
            **describe_environment(listed.environment),
            "state": listed.state,
            "size": listed.size,
        }
        for listed in environments
    ]
    lines = [_line(listed) for listed in environments]
    return Result({"environments": data}, lines or ["This machine has no environments."])


def _line(listed: "ListedEnvironment") -> str:
    description = listed.environment.description
    folder = listed.environment.folder
    bento = description.bento if description else f"{folder.parent.name}:{folder.name}"
    python = f"Python {description.python_version}" if description else ""
    return f"{bento}  {listed.state}  {python}  {size_text(listed.size)}  {folder}"
