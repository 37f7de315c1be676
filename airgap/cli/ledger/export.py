"""``airgap ledger export``: write the entries of a ledger, provably all of them."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import (
    ChosenLedger,
    checkpoint_lines,
    describe_checkpoint,
    with_ledger,
)
from airgap.cli.output import OutputPath, Result, count_text, reports


@click.command(name="export", cls=HelpCommand)
@click.option(
    "--since",
    metavar="OLD",
    default="0",
    help="Leave out the entries of this checkpoint, a file or its length; default: none.",
)
@click.option(
    "--output",
    "-o",
    metavar="FOLDER",
    type=OutputPath(file_okay=False),
    required=True,
    help="The folder to write, new or empty.",
)
@reports
@with_ledger
def command(
    *,
    since: str,
    output: Path,
    ledger: ChosenLedger,
) -> Result:
    """Write the entries of a ledger into FOLDER, as far as its last checkpoint covers them.

    The entries lead to the root of the checkpoint, so that none can be left out or changed:
    `airgap ledger verify FOLDER` checks that. They are there byte for byte, and as JSON.
    """
    from airgap.flow.ledger.export import export_entries
    from airgap.flow.ledger.verify import read_size

    done = export_entries(ledger.choice, read_size(since), output, ledger.signer)
    entries = count_text(done.count, "entry", "entries")
    lines = [f"{entries} from number {done.first} on: {output}", *checkpoint_lines(done.signed)]
    data = {
        "folder": str(output),
        "first": done.first,
        "entries": done.count,
        "checkpoint": describe_checkpoint(done.signed),
    }
    return Result(data, lines)
