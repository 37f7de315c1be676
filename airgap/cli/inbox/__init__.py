"""``airgap inbox``: what stock clients have pushed, and a builder's signature on it."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.inbox.discard import discard
from airgap.cli.inbox.list_ import list_pushed
from airgap.cli.inbox.show import show
from airgap.cli.inbox.sign import sign


@click.group(cls=HelpGroup)
def command() -> None:
    """Look at what stock clients have pushed into the inbox of a mirror, and sign it.

    INBOX is the folder of `airgap serve mirror --inbox`. Nobody can pull what is in it.
    """


command.add_command(list_pushed)
command.add_command(show)
command.add_command(sign)
command.add_command(discard)
