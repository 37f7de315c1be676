"""``airgap root remove-recipient``: encrypt to a recipient no longer."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="remove-recipient", cls=HelpCommand)
@edits
@click.argument("recipient")
@reports
def command(*, root: Path, output: Path | None, recipient: str) -> Result:
    """Encrypt sealed bundles to RECIPIENT (it, its beginning, or its label) no longer.

    Its owner still opens what was sealed before.
    """
    from airgap.format import root_edits

    return edit(root, lambda old: root_edits.remove_recipient(old, recipient), output)
