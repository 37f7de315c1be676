"""``airgap serve``: servers of the isolated side: its gateway, and its mirror."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.serve.check_log import check_log
from airgap.cli.serve.dropbox import dropbox
from airgap.cli.serve.hash_password import hash_password
from airgap.cli.serve.make_token import make_token
from airgap.cli.serve.mirror import mirror


@click.group(cls=HelpGroup)
def command() -> None:
    """Receive bundles over the network, and serve what they brought."""


command.add_command(dropbox)
command.add_command(hash_password)
command.add_command(mirror)
command.add_command(make_token)
command.add_command(check_log)
