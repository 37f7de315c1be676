"""``airgap unseal``: take the bundle out of a sealed one."""

from typing import TYPE_CHECKING

import click

from airgap.cli.copy import make_result
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, identity_option, jobs_option, location_options, reports

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="unseal", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@click.option(
    "-o",
    "--output",
    "destination",
    required=True,
    metavar="DST",
    help="A depot or a .airgap file of this machine. What was sealed lies open there.",
)
@identity_option
@jobs_option
@reports
@location_options
def command(
    *,
    source: str,
    destination: str,
    identities: tuple[str, ...],
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Write the bundle inside the sealed one in SRC to DST, to be inspected or approved there.

    SRC is as for `airgap copy`. Enough builders must have signed the index and the bundle inside.
    `airgap import` opens a sealed bundle by itself, and leaves nothing of it open on a disk.
    """
    del jobs  # it is in ``connector``
    from airgap.flow.depot.seal import UnsealRequest, unseal_bundles
    from airgap.flow.location.location import parse_location

    target = parse_location(destination, to_write=True)
    request = UnsealRequest(
        parse_location(source),
        target,
        identities,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return make_result(unseal_bundles(request, connector.progress), target)
