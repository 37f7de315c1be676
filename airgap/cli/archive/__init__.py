"""``airgap archive``: keep bundles for years, with what is known of them."""

import click

from airgap.cli.archive.add import add
from airgap.cli.archive.check import check
from airgap.cli.archive.doctor import doctor
from airgap.cli.archive.hold import hold
from airgap.cli.archive.list_ import list_
from airgap.cli.archive.merge import merge
from airgap.cli.archive.release import release
from airgap.cli.archive.renew import renew
from airgap.cli.archive.show import show
from airgap.cli.help import HelpGroup


@click.group(cls=HelpGroup)
def command() -> None:
    """Keep bundles for years in a compliance archive: a depot with records, holds and evidence.

    What an archive keeps is neither deleted nor collected as garbage, until its time has come and
    approvers let it go.
    """


for _command in (add, list_, show, hold, release, check, merge, renew, doctor):
    command.add_command(_command)
