"""``airgap env``: environments with the Python packages of a Bento."""

import click

from airgap.cli.env.create import create
from airgap.cli.env.list_ import list_
from airgap.cli.env.remove import remove
from airgap.cli.env.run import run
from airgap.cli.help import HelpGroup


@click.group(cls=HelpGroup)
def command() -> None:
    """Install the Python packages of a Bento, without a network, and serve it with them.

    The packages come from a wheelhouse that `airgap import` has installed. ENV is the tag of a
    Bento, or the folder of an environment (a path with a slash).
    """


for _command in (create, list_, run, remove):
    command.add_command(_command)
