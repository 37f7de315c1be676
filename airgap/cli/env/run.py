"""``airgap env run``: start BentoML in an environment."""

import os
import signal
import sys

import click

from airgap.cli.help import HelpCommand
from airgap.cli.main import restore_environment
from airgap.cli.output import Result, answers
from airgap.errors import ConfigurationError


@click.command(cls=HelpCommand)
@click.argument("name", metavar="ENV")
@click.argument("words", metavar="[-- ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
@click.option("--dry-run", is_flag=True, help="Print the command and its variables; run nothing.")
@answers
def run(*, name: str, words: tuple[str, ...], dry_run: bool) -> Result:
    """Run the environment's `bentoml ARGUMENTS` offline; without arguments, `bentoml serve`.

    `serve` gets the Bento's tag, so that `-- serve --port 3001` is enough. Variables keep libraries
    from looking for a network, and name the Bento's folders of files. The command takes the place
    of airgap: its exit code and the signals it gets are its own.
    """
    from airgap.flow.environment.run import hold_while_running, make_start

    environment = restore_environment()
    start = make_start(name, words, environment)
    if dry_run:
        variables = dict(sorted(start.variables.items()))
        data = {"command": list(start.command), "variables": variables}
        lines = [*(f"{key}={value}" for key, value in variables.items()), " ".join(start.command)]
        return Result(data, lines)
    hold_while_running(start.folder)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # Python ignores them; programs do not expect it
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(start.command[0], start.command, start.make_environment(environment))  # noqa: S606  (no shell is wanted)
    except OSError as error:
        raise ConfigurationError(
            f"{start.command[0]} cannot be started: {error.strerror}.",
            "Its Python may be gone: remove the environment and make it again.",
        ) from error
