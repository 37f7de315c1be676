"""``airgap root set-expiry``: set when the root stops admitting bundles."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.cli.times import read_moment


@click.command(name="set-expiry", cls=HelpCommand)
@edits
@click.argument("when")
@reports
def command(*, root: Path, output: Path | None, when: str) -> Result:
    """Set when the root stops admitting bundles: 90d, 2y, 2030-12-31 (its end, UTC) or never."""
    from airgap.format import root_edits

    end = read_moment(when)
    return edit(root, lambda old: root_edits.set_expiry(old, end), output)
