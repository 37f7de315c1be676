"""``airgap image``: container images that an import installed."""

import click

from airgap.cli.image.build import build
from airgap.cli.image.list_ import list_images
from airgap.cli.image.push import push
from airgap.cli.image.save import save
from airgap.cli.output import CommandGroup


@click.group(cls=CommandGroup)
def command() -> None:
    """Build, list, push and save container images."""


command.add_command(build)
command.add_command(list_images)
command.add_command(push)
command.add_command(save)
