"""``airgap root remove-authority``: let no time stamp of an authority count any more."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits


@click.command(name="remove-authority", cls=HelpCommand)
@edits
@click.argument("certificate", metavar="CERT")
@reports
def command(*, root: Path, output: Path | None, certificate: str) -> Result:
    """Let no time stamp of an authority count any more, the earlier ones included.

    CERT is the file of its certificate, or the certificate's SHA-256 or its beginning. For an
    authority that only ended, give its last day: `airgap root add-authority ROOT CERT --until`.
    """
    from airgap.flow.trust.authorities import find_authority
    from airgap.format import root_edits

    return edit(
        root,
        lambda old: root_edits.remove_authority(old, find_authority(old, certificate)),
        output,
    )
