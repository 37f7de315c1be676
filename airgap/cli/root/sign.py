"""``airgap root sign``: add a root key's signature."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli import terminal
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, key_options, reports
from airgap.cli.passphrases import read_passphrase
from airgap.cli.root.proposal import before_option, report
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.trust.roots import Proposal


@click.command(name="sign", cls=HelpCommand)
@click.argument("root", type=click.Path(path_type=Path))
@before_option
@click.option(
    "--fingerprint",
    metavar="SHA256:HEX",
    allow_from_autoenv=False,  # from the sheet, each time: not from a variable or a file
    help="Fingerprint of the root that you sign, from the ceremony sheet; asked for on a terminal.",
)
@key_options
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    root: Path,
    before: Path | None,
    fingerprint: str | None,
    key: str,
    passphrase_env: str | None,
    passphrase_fd: int | None,
) -> Result:
    """Put the signature of a root key beside ROOT.

    Signs the root with this fingerprint and no other. Read it first with
    `airgap root show ROOT --from OLD`; the fingerprint is on the ceremony sheet. The owner of a
    root key that this version removes signs with --from OLD.
    """
    from airgap.cli.signers import load_signer
    from airgap.flow.trust import pin, roots

    signer = load_signer(key, read_passphrase(passphrase_env, passphrase_fd))
    proposal = roots.read_proposal(root, before)
    if fingerprint is None:
        fingerprint = _ask_fingerprint(proposal)
    proposal, new = roots.sign_root(proposal, signer, pin.normalize_fingerprint(fingerprint))
    result = report(proposal)
    lines = ["Signed" if new else "Already signed", f"  with key {signer.key.id}", *result.lines]
    return Result(result.data | {"signed_by": signer.key.id, "new": new}, lines)


def _ask_fingerprint(proposal: "Proposal") -> str:
    """Show a root without its fingerprint, and let a person type it from the ceremony sheet.

    Raises:
        UsageError: there is no terminal.
    """
    if not terminal.can_ask():
        raise UsageError(
            f"A signature of {proposal.path} needs its fingerprint.",
            "Give --fingerprint SHA256:HEX, as it is on the ceremony sheet.",
        )
    terminal.print_line("To be signed as root key:", err=True)
    for line in report(proposal).lines:
        if proposal.fingerprint not in line:  # it is to be read from the sheet
            terminal.print_line(f"  {line}", err=True)
    typed = terminal.ask("Fingerprint, from the ceremony sheet")
    return typed if ":" in typed else f"SHA256:{typed}"
