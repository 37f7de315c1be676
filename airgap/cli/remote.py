"""``airgap remote``: give places that are elsewhere a name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.output import CommandGroup, Result, reports
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.location.named_remotes import Remote


@click.group(cls=CommandGroup)
def command() -> None:
    """Give places that are elsewhere a name: @NAME is then a place.

    They are kept in the config file. A password is not: only where it is.
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
    help="Of the protocol, such as ca=/etc/ca.pem or region=eu-central-1; repeat it.",
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
    said = {"user": user, "password_env": password_env, "password_file": file}
    settings = {key: value for key, value in said.items() if value is not None}
    done = named_remotes.add_remote(name, url, settings | dict(map(_split, options)))
    return Result(_about(done), [f"@{name} is {done.url} now."])


@command.command(name="list")
@reports
def list_() -> Result:
    """List the names there are."""
    from airgap.flow.location import named_remotes

    found = named_remotes.list_remotes()
    return Result(
        {"remotes": [_about(one) for one in found]},
        [f"@{one.name}  {one.url}" for one in found] or ["There are no remotes yet."],
    )


@command.command()
@click.argument("name")
@reports
def show(*, name: str) -> Result:
    """Show what is kept of one."""
    from airgap.flow.location import named_remotes

    found = named_remotes.find_remote(name.removeprefix(named_remotes.MARK))
    lines = [f"@{found.name}  {found.url}"]
    lines += [f"  {key} = {value}" for key, value in found.settings.items()]
    return Result(_about(found), lines)


@command.command()
@click.argument("name")
@reports
def remove(*, name: str) -> Result:
    """Forget a name. What is at the place stays."""
    from airgap.flow.location import named_remotes

    name = name.removeprefix(named_remotes.MARK)
    named_remotes.remove_remote(name)
    return Result({"removed": name}, [f"@{name} is forgotten."])


def _split(option: str) -> tuple[str, str]:
    key, mark, value = option.partition("=")
    if not mark or not key:
        raise UsageError(f"{option!r:.100} is no KEY=VALUE.", "Write --option ca=/etc/ca.pem.")
    return key, value


def _about(remote: "Remote") -> dict[str, Any]:
    return {"name": remote.name, "url": remote.url, "settings": dict(remote.settings)}
