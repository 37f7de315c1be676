"""``airgap ledger consistency``: prove that a ledger continues what it was."""

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


@click.command(name="consistency", cls=HelpCommand)
@click.argument("old", metavar="OLD")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=OutputPath(dir_okay=False),
    required=True,
    help="The file to write: what `airgap ledger cosign`, or another C2SP witness, takes.",
)
@reports
@with_ledger
def command(
    *,
    old: str,
    output: Path,
    ledger: ChosenLedger,
) -> Result:
    """Prove that the last checkpoint of a ledger continues OLD, a checkpoint or its length.

    OLD is 0 for a witness that has not seen this ledger yet.
    """
    from airgap.flow.ledger.prove import prove_consistency, write_proof_file
    from airgap.flow.ledger.verify import read_size

    size = read_size(old)
    raw, signed = prove_consistency(ledger.choice, size, ledger.signer)
    write_proof_file(output, raw)
    lines = [f"{output} shows what follows {size:,} entries", *checkpoint_lines(signed)]
    return Result(
        {"file": str(output), "old": size, "checkpoint": describe_checkpoint(signed)}, lines
    )
