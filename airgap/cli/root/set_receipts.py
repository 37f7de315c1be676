"""``airgap root set-receipts``: say what a receipt needs before it may leave."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.errors import UsageError


@click.command(name="set-receipts", cls=HelpCommand)
@edits
@click.option(
    "--approvals",
    metavar="K",
    type=click.IntRange(0),
    help="How many approvers must sign a receipt before it may leave; 0: none.",
)
@click.option("--notes/--no-notes", default=None, help="Whether a receipt may have free text.")
@reports
def command(
    *, root: Path, output: Path | None, approvals: int | None, notes: bool | None
) -> Result:
    """Say what a receipt of an import needs before it may leave the site."""
    from airgap.format import root_edits

    if approvals is None and notes is None:
        raise UsageError("Nothing is to be changed.", "Give --approvals K, --notes or --no-notes.")
    return edit(root, lambda old: root_edits.set_receipts(old, approvals, notes=notes), output)
