"""``airgap root name-key``: say whose key it is."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="name-key", cls=HelpCommand)
@edits
@click.argument("key")
@click.argument("person", metavar="NAME")
@reports
def command(*, root: Path, output: Path | None, key: str, person: str) -> Result:
    """Say whose KEY (a .pub file, or a key id or its beginning) it is, for people.

    NAME is a person or an office; an empty one removes it. Everyone who has the root can read it.
    """
    from airgap.flow.trust import roots

    return edit(root, lambda old: roots.name_key(old, key, person), output)
