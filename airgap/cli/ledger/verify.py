"""``airgap ledger verify``: check what others prove about a ledger."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import (
    checkpoint_lines,
    describe_checkpoint,
    read_recorders,
    recorder_option,
)
from airgap.cli.output import Result, answers


@click.command(name="verify", cls=HelpCommand)
@click.argument("proof", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--old",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The older checkpoint that FILE, a proof of consistency, continues.",
)
@recorder_option
@answers
def command(*, proof: Path, old: Path | None, recorders: tuple[Path, ...]) -> Result:
    """Verify a checkpoint, a proof of consistency, or a folder of `prove` or `export`.

    The recorders of the root that this machine trusts must have signed it, or --recorder.
    """
    from airgap.cli.lines.ledger import entry_lines
    from airgap.flow.ledger.verify_files import verify_path

    keys, site = read_recorders(recorders)
    verified = verify_path(proof, old, keys, site)
    lines = [f"{verified.what}: verified", *checkpoint_lines(verified.signed)]
    if verified.entry is not None:
        lines += entry_lines(verified.entry)
    data = {
        "what": verified.what,
        "checkpoint": describe_checkpoint(verified.signed),
        "entry": verified.entry,
        "entries": verified.count,
    }
    return Result(data, lines)
