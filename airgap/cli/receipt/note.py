"""``airgap receipt note``: a receipt as five lines that are read out."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers
from airgap.cli.receipt.options import root_option


@click.command(name="note", cls=HelpCommand)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@root_option
@answers
def note(*, path: Path, root: Path | None) -> Result:
    """Print the receipt in FILE as five lines, to be read out where no file can leave.

    The other side types them: airgap receipt accept --site SITE --note TEXT.
    """
    from airgap.flow.receipts.accept import inspect_receipt, read_receipt_file, write_note

    receipt, signed = inspect_receipt(read_receipt_file(path), root)
    lines = write_note(signed, receipt)
    return Result({"site": receipt.site, "bundle": receipt.bundle_id, "lines": lines}, lines)
