"""``airgap receipt show``: read a receipt."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.receipt.options import root_option


@click.command(name="show", cls=HelpCommand)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@root_option
@answers
def show(*, path: Path, root: Path | None) -> Result:
    """Show all that the receipt in FILE says, and whether the site has signed it."""
    from airgap.flow.receipts.accept import inspect_receipt, read_receipt_file
    from airgap.flow.receipts.describe import describe_shown, receipt_lines

    receipt, signed = inspect_receipt(read_receipt_file(path), root)
    lines = list(receipt_lines(receipt))
    if signed is None:
        lines.append("NOT VERIFIED: this machine has no root of the site; give --root FILE.")
    else:
        lines += [f"signed by recorder {key_id}" for key_id in signed.recorders]
        lines += [f"approved by {key_id}" for key_id in signed.approvers]
    return Result(describe_shown(receipt, signed), lines)
