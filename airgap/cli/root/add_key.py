"""``airgap root add-key``: give a key a role."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits, role_argument

if TYPE_CHECKING:
    from airgap.format.envelope import Role


@click.command(name="add-key", cls=HelpCommand)
@edits
@role_argument
@click.argument("public", metavar="FILE.pub", type=click.Path(path_type=Path))
@reports
def command(*, root: Path, output: Path | None, role: "Role", public: Path) -> Result:
    """Give the key in FILE.pub a role."""
    from airgap.flow.trust import keys
    from airgap.format import root_edits

    key = keys.read_public_key(public)
    return edit(root, lambda old: root_edits.add_key(old, role, key), output)
