"""``airgap root set-min-sequence``: refuse old bundles of a channel."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.errors import UsageError


@click.command(name="set-min-sequence", cls=HelpCommand)
@edits
@click.argument("minimum", metavar="CHANNEL=N")
@reports
def command(*, root: Path, output: Path | None, minimum: str) -> Result:
    """Refuse bundles of a channel whose sequence is below N."""
    from airgap.format import root_edits

    channel, mark, number = minimum.partition("=")
    if not mark or not number.isdecimal():
        raise UsageError(f"{minimum!r} is not CHANNEL=N.", "Write default=12.")
    return edit(
        root, lambda old: root_edits.set_minimum_sequence(old, channel, int(number)), output
    )
