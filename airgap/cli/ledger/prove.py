"""``airgap ledger prove``: write a folder that proves that an entry is in a ledger."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import (
    ChosenLedger,
    checkpoint_lines,
    describe_checkpoint,
    with_ledger,
)
from airgap.cli.output import OutputPath, Result, reports


@click.command(name="prove", cls=HelpCommand)
@click.argument("entry", metavar="BUNDLE|N")
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
    entry: str,
    output: Path,
    ledger: ChosenLedger,
) -> Result:
    """Write FOLDER, which proves that an entry is in a ledger: entry N, or that about BUNDLE.

    The last checkpoint must cover the entry; with --key, a new one is signed. FOLDER has the entry,
    the proof, the root that names the recorder, and two programs that check it without airgap.
    """
    from airgap.flow.ledger.prove import describe_entry, prove_entry

    written = prove_entry(ledger.choice, entry, output, ledger.signer)
    lines = [
        f"Entry {written.number} ({written.entry.event}) is proven by {written.folder}",
        *checkpoint_lines(written.signed),
        *(f"  entry {number} is about this bundle, too" for number in written.others),
        f"To check it without airgap: sh {written.folder}/check.sh {written.folder}",
    ]
    data = {
        "folder": str(written.folder),
        "entry": describe_entry(written.entry, written.number),
        "checkpoint": describe_checkpoint(written.signed),
        "files": list(written.files),
        "other_entries": list(written.others),
    }
    return Result(data, lines)
