"""``airgap archive``: keep bundles for years, with what is known of them."""

import click

from airgap.cli.archive.check import check
from airgap.cli.archive.merge import merge
from airgap.cli.help import HelpGroup


@click.group(cls=HelpGroup)
def command() -> None:
    """Keep bundles for years in a compliance archive: a depot with records, holds and evidence.

    What an archive keeps is neither deleted nor collected as garbage, until its time has come and
    approvers let it go.
    """


for _command in (check, merge):
    command.add_command(_command)
