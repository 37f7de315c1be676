"""``airgap rehearse``: import a bundle into a home of its own, and serve its Bentos there."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    Result,
    admission_options,
    depot_option,
    identity_option,
    jobs_option,
    licence_option,
    location_options,
    reports,
)
from airgap.cli.proof_options import proof_options

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector
    from airgap.flow.proof.prove import ProofOptions


@click.command(name="rehearse", cls=HelpCommand)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.option(
    "--bento",
    "tags",
    metavar="TAG",
    multiple=True,
    help="Only this Bento of the bundle; repeat it.",
)
@admission_options
@identity_option
@depot_option
@licence_option
@jobs_option
@reports
@proof_options
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    tags: tuple[str, ...],
    options: "ProofOptions",
    report: Path | None,
    waivers: tuple[Path, ...],
    channel: str | None,
    identities: tuple[str, ...],
    depots: tuple[str, ...],
    licence_policy: Path | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Do what the other side will do, before the bundle leaves: import it, and serve its Bentos.

    The bundle in SRC must be admitted by the site that this machine trusts, because its code is
    run. It is imported into a home of its own, without a trace in the stores and in the ledger; a
    model that is installed here with the same content is not copied. Each Bento is then served as
    by `airgap prove`.
    """
    from airgap.cli.lines.proofs import make_result
    from airgap.flow.importing.use_case import ImportRequest
    from airgap.flow.location.location import parse_location
    from airgap.flow.proof.prove import rehearse

    request = ImportRequest(
        [parse_location(source) for source in sources],
        waivers=waivers,
        channel=channel,
        identities=identities,
        depots=[parse_location(depot) for depot in depots],
        licence_policy=licence_policy,
        jobs=jobs,
        credentials=connector.credentials,
        transfer=connector.transfer,
    )
    return make_result(rehearse(request, tags, options, connector.progress), report)
