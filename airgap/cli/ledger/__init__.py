"""``airgap ledger``: what proves to others what a ledger holds."""

import click

from airgap.cli.help import HelpGroup
from airgap.cli.ledger import checkpoint, consistency, cosign, export, prove, verify


@click.group(cls=HelpGroup)
def command() -> None:
    """Prove what a ledger of this machine holds, and check what others prove.

    A ledger has an entry for each import, export, approval and refusal. A recorder of the site
    signs checkpoints, which say how long it is; proofs lead from an entry to a checkpoint. Go's
    sumdb packages and a short script with openssl check them, too. `airgap log` shows the entries.
    """


for module in (checkpoint, prove, verify, consistency, cosign, export):
    command.add_command(module.command)
