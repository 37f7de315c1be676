"""``airgap ledger verify``: check what others prove about a ledger."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import (
    checkpoint_lines,
    describe_checkpoint,
    read_recorders,
    read_witnesses,
    recorder_option,
    witness_option,
)
from airgap.cli.output import Result, answers
from airgap.errors import StorageError


@click.command(name="verify", cls=HelpCommand)
@click.argument("proof", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--old",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The older checkpoint that FILE, a proof of consistency, continues.",
)
@recorder_option
@witness_option
@answers
def command(
    *, proof: Path, old: Path | None, recorders: tuple[Path, ...], witnesses: tuple[Path, ...]
) -> Result:
    """Verify a checkpoint, a proof of consistency, or a folder of `prove` or `export`.

    The recorders of the root that this machine trusts must have signed it, or --recorder. This
    machine remembers the checkpoint: a later one of the same length with another root is refused,
    and both are kept as evidence.
    """
    from airgap.cli.lines.ledger import entry_lines
    from airgap.flow.ledger.checkpoints import add_witnesses
    from airgap.flow.ledger.cosign import remember_checkpoint
    from airgap.flow.ledger.verify_files import verify_path

    keys, site = read_recorders(recorders)
    verified = verify_path(proof, old, keys, site)
    signed = add_witnesses(verified.signed, read_witnesses(witnesses, site), str(proof))
    lines = [f"{verified.what}: verified", *checkpoint_lines(signed)]
    try:
        remember_checkpoint(signed)
    except StorageError as error:
        lines.append(f"NOTE: this checkpoint could not be remembered: {error.message}")
    if verified.entry is not None:
        lines += entry_lines(verified.entry)
    for signer in verified.signers:
        found = "verified" if signer.is_verified else "not here"
        lines.append(f"  signature of {signer.role} {signer.key_id}: {found}")
    data = {
        "what": verified.what,
        "checkpoint": describe_checkpoint(signed),
        "entry": verified.entry,
        "entries": verified.count,
        "signatures": [
            {"role": signer.role, "key_id": signer.key_id, "verified": signer.is_verified}
            for signer in verified.signers
        ],
    }
    return Result(data, lines)
