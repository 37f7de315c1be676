"""``airgap list``: what a depot, or this machine's stores, hold."""

from typing import TYPE_CHECKING

import click

from airgap.cli.lines.depots import depot_lines, stored_lines
from airgap.cli.output import Result, place_options, reports

if TYPE_CHECKING:
    from airgap.flow.location.credentials import Access


@click.command(name="list")
@click.argument("depot", required=False, metavar="[DEPOT]")
@reports
@place_options
def command(*, depot: str | None, access: "Access") -> Result:
    """List the bundles of DEPOT, or without it the Bentos and models of this machine.

    The newest comes first: by number in its channel, then by creation time. STANDING says whether
    this machine would import the bundle: its signatures, age and channel, not its packs.
    """
    from airgap.flow.depot import list_tags
    from airgap.flow.redaction import redact

    if depot is None:
        rows = list_tags.list_stores()
        lines = list(stored_lines(rows)) or ["There are no Bentos and no models here."]
        return Result({"depot": None, "items": rows}, lines)
    listing = list_tags.list_depot(depot, access)
    about = {
        "depot": redact(depot),
        "bundles": listing.bundles,
        "not_verified_because": listing.why_not_verified or None,
    }
    lines = list(depot_lines(listing.bundles, listing.why_not_verified))
    return Result(about, [*lines, _hint(redact(depot))])


def _hint(depot: str) -> str:
    return f"More of one: airgap inspect {depot.partition('#')[0]}#BUNDLE"
