"""``airgap remote``: name remote locations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpGroup
from airgap.cli.output import Result, answers, reports
from airgap.errors import UsageError
from airgap.printable import quote

if TYPE_CHECKING:
    from airgap.flow.location.named_remotes import Remote


@click.group(cls=HelpGroup)
def command() -> None:
    """Name remote locations: @NAME then stands for the URL.

    Names are stored in the config file. Passwords are not: only where to find them.
    """


@command.command()
@click.argument("name")
@click.argument("url")
@click.option("--user", metavar="NAME", help="Log in as this user.")
@click.option("--password-env", metavar="VAR", help="The password is in this variable.")
@click.option(
    "--password-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The password is in this file of one line.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the protocol, such as ca=/etc/ca.pem; may be repeated.",
)
@reports
def add(  # noqa: PLR0913  (one argument per option)
    *,
    name: str,
    url: str,
    user: str | None,
    password_env: str | None,
    password_file: Path | None,
    options: tuple[str, ...],
) -> Result:
    """Let @NAME stand for URL. Nothing is connected to."""
    from airgap.flow.location import named_remotes

    file = None if password_file is None else str(password_file.absolute())
    fields = {"user": user, "password_env": password_env, "password_file": file}
    settings = {key: value for key, value in fields.items() if value is not None}
    remote = named_remotes.add_remote(name, url, settings | dict(map(_split, options)))
    return Result(_describe(remote), [f"@{name} is now {remote.url}."])


@command.command(name="list")
@answers
def list_() -> Result:
    """List the named remotes with their options."""
    from airgap.flow.location import named_remotes

    remotes = named_remotes.list_remotes()
    return Result(
        {"remotes": [_describe(remote) for remote in remotes]},
        [line for remote in remotes for line in _lines(remote)] or ["There are no remotes yet."],
    )


@command.command()
@click.argument("name")
@answers
def show(*, name: str) -> Result:
    """Show the URL and the settings of a remote."""
    from airgap.flow.location import named_remotes

    remote = named_remotes.find_remote(name.removeprefix(named_remotes.MARK))
    return Result(_describe(remote), _lines(remote))


@command.command()
@click.argument("name")
@reports
def remove(*, name: str) -> Result:
    """Remove a name. What the location holds stays."""
    from airgap.flow.location import named_remotes

    name = name.removeprefix(named_remotes.MARK)
    named_remotes.remove_remote(name)
    return Result({"removed": name}, [f"@{name} was removed."])


def _split(option: str) -> tuple[str, str]:
    key, mark, value = option.partition("=")
    if not mark or not key:
        raise UsageError(f"{quote(option)} is not KEY=VALUE.", "Write --option ca=/etc/ca.pem.")
    return key, value


def _lines(remote: "Remote") -> list[str]:
    return [
        f"@{remote.name}  {remote.url}",
        *(f"  {key} = {value}" for key, value in remote.settings.items()),
    ]


def _describe(remote: "Remote") -> dict[str, Any]:
    return {"name": remote.name, "url": remote.url, "settings": dict(remote.settings)}
