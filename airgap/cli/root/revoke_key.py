"""``airgap root revoke-key``: revoke a key for good."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.cli.times import read_start


@click.command(name="revoke-key", cls=HelpCommand)
@edits
@click.argument("key")
@click.option(
    "--since",
    metavar="WHEN",
    help="When the key left its owner's control, such as 2026-01-31. Signatures that a time stamp"
    " proves to be older stay valid for those who can check time stamps.",
)
@reports
def command(*, root: Path, output: Path | None, key: str, since: str | None) -> Result:
    """Let no signature by KEY (a .pub file, or a key id or its beginning) count any more.

    For a key that was lost or stolen. Its earlier signatures stop counting, too.
    """
    from airgap.flow.trust import roots
    from airgap.format import root_edits

    start = None if since is None else read_start(since)
    return edit(
        root, lambda old: root_edits.revoke_key(old, roots.find_key(old, key), start), output
    )
