"""``airgap ledger checkpoint``: sign how long a ledger is."""

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
from airgap.errors import ConfigurationError, UsageError


@click.command(name="checkpoint", cls=HelpCommand)
@click.option(
    "--cosigned",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Add the cosignatures of this checkpoint to the last one, instead of signing.",
)
@click.option(
    "--output", "-o", metavar="FILE", type=OutputPath(), help="Write the checkpoint there, too."
)
@reports
@with_ledger
def command(
    *,
    cosigned: Path | None,
    output: Path | None,
    ledger: ChosenLedger,
) -> Result:
    """Sign how many entries a ledger has, and the root of the tree over them.

    The key is an Ed25519 key with the role recorder in the root of the site. The checkpoint is kept
    beside the ledger, for `airgap ledger prove`.
    """
    from airgap.flow.ledger import checkpoints
    from airgap.flow.ledger.prove import write_proof_file
    from airgap.flow.ledger.verify import read_proof_file

    if cosigned is not None and ledger.signer is not None:
        raise UsageError(
            "--cosigned signs nothing, and --key does.", "Sign first, then add what witnesses sign."
        )
    if cosigned is not None:
        raw = read_proof_file(cosigned)
        signed = checkpoints.add_cosignatures(ledger.choice, raw, str(cosigned))
    elif ledger.signer is not None:
        signed = checkpoints.make_checkpoint(ledger.choice, ledger.signer)
    else:
        raise ConfigurationError(
            "There is no key to sign the checkpoint with.", "Give --key KEY, the recorder's."
        )
    if output is not None:
        write_proof_file(output, signed.raw)
    return Result(
        {**describe_checkpoint(signed), "note": signed.raw.decode()}, checkpoint_lines(signed)
    )
