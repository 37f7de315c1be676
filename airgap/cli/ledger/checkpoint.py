"""``airgap ledger checkpoint``: sign how long a ledger is."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import (
    checkpoint_lines,
    choose_side,
    describe_checkpoint,
    ledger_options,
    open_signer,
    signer_options,
)
from airgap.cli.output import OutputPath, Result, reports
from airgap.errors import ConfigurationError, UsageError


@click.command(name="checkpoint", cls=HelpCommand)
@ledger_options
@click.option(
    "--cosigned",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Add the cosignatures of this checkpoint to the last one, instead of signing.",
)
@click.option(
    "--output", "-o", metavar="FILE", type=OutputPath(), help="Write the checkpoint there, too."
)
@signer_options
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    site: str | None,
    exports: bool,
    cosigned: Path | None,
    output: Path | None,
    key: str | None,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Sign how many entries a ledger has, and the root of the tree over them.

    The key is an Ed25519 key with the role recorder in the root of the site. The checkpoint is kept
    beside the ledger, for `airgap ledger prove`.
    """
    from airgap.flow.ledger import checkpoints
    from airgap.flow.ledger.prove import write_proof_file
    from airgap.flow.ledger.verify import read_proof_file

    side = choose_side(exports=exports)
    name = checkpoints.choose_ledger(site, side)
    signer = open_signer(key, passphrase_env, passphrase_fd)
    if cosigned is not None and signer is not None:
        raise UsageError(
            "--cosigned signs nothing, and --key does.", "Sign first, then add what witnesses sign."
        )
    if cosigned is not None:
        raw = read_proof_file(cosigned)
        signed = checkpoints.add_cosignatures(name, side, raw, str(cosigned))
    elif signer is not None:
        signed = checkpoints.make_checkpoint(name, side, signer)
    else:
        raise ConfigurationError(
            "There is no key to sign the checkpoint with.", "Give --key KEY, the recorder's."
        )
    if output is not None:
        write_proof_file(output, signed.raw)
    return Result(
        {**describe_checkpoint(signed), "note": signed.raw.decode()}, checkpoint_lines(signed)
    )
