"""``airgap check``: compare what is installed with what was imported, without the medium."""

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.progress import make_progress


@click.command(cls=HelpCommand)
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@reports
def command(*, tags: tuple[str, ...]) -> Result:
    """Compare what is installed with what was imported, byte for byte.

    Needs no medium: the signed manifests of imported bundles are kept here. Reads every file of
    every item, or of the items TAG (`name` or `name:version`, of any kind), from the disk. Nothing
    is changed.

    Exits with 10 if a file is missing, changed or additional, or if an item that a Bento needs is
    missing. Items that airgap did not import are named; nothing is known of them.
    """
    from airgap.cli.lines.installed_items import check_lines
    from airgap.errors import CorruptError
    from airgap.flow.installed.check import check_installed, describe_check
    from airgap.flow.installed.item_name import parse_item_name

    result = check_installed([parse_item_name(tag) for tag in tags], make_progress())
    code = CorruptError.exit_code if result.is_damaged else 0
    return Result(describe_check(result), check_lines(result), code)
