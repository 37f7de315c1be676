"""``airgap receipt approve``: let a receipt leave the site."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, key_options, reports
from airgap.cli.passphrases import read_passphrase
from airgap.cli.signing import SigningPurpose
from airgap.cli.signing import show as show_signed

if TYPE_CHECKING:
    from airgap.format.receipt import Receipt


@click.command(name="approve", cls=HelpCommand)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@key_options
@reports
def approve(
    *,
    path: Path,
    yes: bool,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Sign the receipt in FILE as an approver: what it says may leave the site.

    Shows all that it says. With as many approvals as the site's root demands, the receipt is moved
    from the folder `unapproved` to the one above.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.receipts.approve import approve_receipt
    from airgap.flow.receipts.describe import describe_approved, receipt_lines

    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    purpose = SigningPurpose("To leave the site", "Let this leave: the receipt of", "as approver")

    def confirm(receipt: "Receipt") -> None:
        show_signed(purpose, receipt_lines(receipt), receipt.bundle_id, is_named=yes)

    approved = approve_receipt(path, signer, confirm)
    lines = [f"Approved with key {signer.key.id}"]
    if approved.demanded is None:
        lines.append("This machine has no root of the site: whether that is enough is unknown.")
    else:
        lines.append(f"{approved.approvals} of {approved.demanded} approvals: {approved.path}")
    return Result(describe_approved(approved, signer.key.id), lines)
