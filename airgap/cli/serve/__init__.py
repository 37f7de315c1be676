"""``airgap serve``: servers for the gateway of the isolated side."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.serve.dropbox import dropbox
from airgap.cli.serve.hash_password import hash_password


@click.group(cls=HelpGroup)
def command() -> None:
    """Receive bundles over the network."""


command.add_command(dropbox)
command.add_command(hash_password)
