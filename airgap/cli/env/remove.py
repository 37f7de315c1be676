"""``airgap env remove``: remove an environment."""

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.progress import make_progress


@click.command(cls=HelpCommand)
@click.argument("name", metavar="ENV")
@reports
def remove(*, name: str) -> Result:
    """Remove an environment. The Bento and its wheelhouse stay, so it can be made again.

    One in which `airgap env run` has started something that still runs is refused.
    """
    from airgap.flow.environment.remove import remove as remove_environment

    folder = remove_environment(name, make_progress())
    return Result({"removed": str(folder)}, [f"{folder} was removed."])
