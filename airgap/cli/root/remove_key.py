"""``airgap root remove-key``: take a role from a key."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits, role_argument

if TYPE_CHECKING:
    from airgap.format.envelope import Role


@click.command(name="remove-key", cls=HelpCommand)
@edits
@role_argument
@click.argument("key")
@reports
def command(*, root: Path, output: Path | None, role: "Role", key: str) -> Result:
    """Take a role from KEY (a .pub file, or a key id or its beginning).

    For a person who leaves. Revoke a key that was lost or stolen (`revoke-key`).
    """
    from airgap.flow.trust import roots
    from airgap.format import root_edits

    return edit(
        root, lambda old: root_edits.remove_key(old, role, roots.find_key(old, key)), output
    )
