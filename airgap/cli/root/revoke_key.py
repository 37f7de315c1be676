"""``airgap root revoke-key``: revoke a key for good."""

from pathlib import Path

import click

from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="revoke-key")
@edits
@click.argument("key")
@reports
def command(*, root: Path, output: Path | None, key: str) -> Result:
    """Take all roles from KEY (a .pub file, or a key id or its beginning) for good.

    For a key that was lost or stolen. Its earlier signatures stop counting, too.
    """
    from airgap.flow.trust import roots
    from airgap.format import root_edits

    return edit(root, lambda old: root_edits.revoke_key(old, roots.find_key(old, key)), output)
