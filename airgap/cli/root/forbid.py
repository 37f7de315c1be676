"""``airgap root forbid``: forbid options that weaken what is checked."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="forbid", cls=HelpCommand)
@edits
@click.argument("options", metavar="OPTION...", nargs=-1, required=True)
@click.option("--lift", is_flag=True, help="Forbid them no longer.")
@reports
def command(*, root: Path, output: Path | None, options: tuple[str, ...], lift: bool) -> Result:
    """Forbid options whose names begin with insecure- on every machine of the site.

    OPTION is what follows that: allow-unsigned (of `airgap import`) or http (of s3://), or all.
    """
    from airgap.format import root_edits

    change = root_edits.permit_options if lift else root_edits.forbid_options
    return edit(root, lambda old: change(old, options), output)
