"""``airgap root set-threshold``: set how many keys of a role must sign."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits, read_threshold

if TYPE_CHECKING:
    from airgap.format.root import Root


@click.command(name="set-threshold", cls=HelpCommand)
@edits
@click.argument("thresholds", metavar="ROLE=K...", nargs=-1, required=True)
@reports
def command(*, root: Path, output: Path | None, thresholds: tuple[str, ...]) -> Result:
    """Set how many keys of a role must sign. 0 removes the role, if it is not root or builder."""
    from airgap.format import root_edits

    def change(old: "Root") -> "Root":
        for role, number in map(read_threshold, thresholds):
            old = root_edits.set_threshold(old, role, number)
        return old

    return edit(root, change, output)
