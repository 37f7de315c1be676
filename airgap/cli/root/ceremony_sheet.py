"""``airgap root ceremony-sheet``: one page to read aloud, sign by hand and file."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.root.proposal import report


@click.command(name="ceremony-sheet", cls=HelpCommand)
@click.argument("root", type=click.Path(path_type=Path))
@answers
def command(*, root: Path) -> Result:
    """Print one page about ROOT with all fingerprints, to be read aloud, signed and filed."""
    from airgap.flow.trust import ceremony_sheet, roots

    proposal = roots.read_proposal(root, None)
    lines = ceremony_sheet.render_sheet(proposal)
    return Result(report(proposal).data | {"sheet": lines}, lines)
