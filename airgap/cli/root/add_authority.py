"""``airgap root add-authority``: let the time stamps of an authority count."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.cli.times import read_moment, read_start


@click.command(name="add-authority", cls=HelpCommand)
@edits
@click.argument("certificate", metavar="CERT", type=click.Path(path_type=Path))
@click.option(
    "--from", "start", metavar="WHEN", help="Count no stamp from before, such as 2026-01-31."
)
@click.option(
    "--until", "end", metavar="WHEN", help="Count no stamp from after, such as 2036-01-31."
)
@reports
def command(
    *, root: Path, output: Path | None, certificate: Path, start: str | None, end: str | None
) -> Result:
    """Let the time stamps of the authority with the certificate in CERT count.

    CERT is PEM or DER: the self-signed certificate at the top of the authority's chain. One that is
    in the root gets these times. It stays in the root for as long as its stamps shall count.
    """
    from airgap.flow.trust.authorities import read_certificate_digest
    from airgap.format import root_edits
    from airgap.format.site_rules import TimestampAuthority

    authority = TimestampAuthority(
        read_certificate_digest(certificate),
        None if start is None else read_start(start),
        None if end is None else read_moment(end),
    )
    return edit(root, lambda old: root_edits.add_authority(old, authority), output)
