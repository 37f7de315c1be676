"""``airgap root add-recipient``: say whom sealed bundles are encrypted to."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="add-recipient", cls=HelpCommand)
@edits
@click.argument("recipient")
@click.option(
    "--label", metavar="NAME", required=True, help="Whose it is, for people: at most 64 characters."
)
@click.option(
    "--purpose",
    type=click.Choice(["site", "escrow", "gate"]),
    default="site",
    show_default=True,
    help="Who opens sealed bundles with it: the site, those who keep a copy in a safe, or a station"
    " that inspects what passes.",
)
@reports
def command(*, root: Path, output: Path | None, recipient: str, label: str, purpose: str) -> Result:
    """Encrypt sealed bundles for the site to RECIPIENT (age1…) too.

    One that is in the root gets the label and the purpose.
    """
    from airgap.format import root_edits
    from airgap.format.site_rules import Recipient

    new = Recipient(recipient, label, purpose)
    return edit(root, lambda old: root_edits.add_recipient(old, new), output)
