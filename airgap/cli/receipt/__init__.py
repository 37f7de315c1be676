"""``airgap receipt``: what became of bundles at a site, for those who sent them."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.receipt.accept import accept
from airgap.cli.receipt.approve import approve
from airgap.cli.receipt.holds import holds
from airgap.cli.receipt.list_ import list_
from airgap.cli.receipt.note import note
from airgap.cli.receipt.show import show


@click.group(cls=HelpGroup)
def command() -> None:
    """Confirm what was imported or refused, and see which bundles were confirmed.

    `airgap import --receipt DIR` makes a receipt on the isolated side. Somebody carries it back,
    and `airgap receipt accept` takes it in where the bundle was made.
    """


for _command in (show, approve, accept, list_, holds, note):
    command.add_command(_command)
