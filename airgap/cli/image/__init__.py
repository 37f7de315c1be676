"""``airgap image``: container images that an import installed."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.image.build import build
from airgap.cli.image.list_ import list_images
from airgap.cli.image.push import push
from airgap.cli.image.save import save


@click.group(cls=HelpGroup)
def command() -> None:
    """Build, list, push and save container images."""


command.add_command(build)
command.add_command(list_images)
command.add_command(push)
command.add_command(save)
