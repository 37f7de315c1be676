"""``airgap root show``: show a root, and which signatures it has and still needs."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.root.proposal import before_option, report


@click.command(name="show", cls=HelpCommand)
@click.argument("root", type=click.Path(path_type=Path))
@before_option
@answers
def command(*, root: Path, before: Path | None) -> Result:
    """Show ROOT, what changed since OLD, and which signatures it has and still needs.

    This trusts nothing.
    """
    from airgap.flow.trust import roots

    return report(roots.read_proposal(root, before))
