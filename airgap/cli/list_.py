"""``airgap list``: list the bundles of a depot, or the items of this machine's stores."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.lines.depots import depot_lines, stored_lines
from airgap.cli.output import Result, answers, identity_option, location_options

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="list", cls=HelpCommand)
@click.argument("depot", required=False, metavar="[DEPOT]")
@identity_option
@answers
@location_options
def command(*, depot: str | None, identities: tuple[str, ...], connector: "Connector") -> Result:
    """List the bundles of DEPOT, or without it the items on this machine.

    These are Bentos, models, folders of files, wheelhouses and images of BentoML's home, and
    Hugging Face snapshots that were imported.

    The newest comes first: by number within a channel, by creation time across channels. STANDING
    says whether this machine would import the bundle, by its signatures, age and channel; of a
    sealed one, SIZE is that of its packs, and --identity shows what is inside. Packs are not read.
    """
    if depot is None:
        from airgap.flow.installed.list_items import list_stores
        from airgap.flow.installed.remembered import load_remembered

        rows = list_stores(load_remembered())
        lines = list(stored_lines(rows)) or ["This machine has no Bentos and no models."]
        return Result({"depot": None, "items": rows}, lines)
    from airgap.flow.depot import list_tags
    from airgap.flow.location.location import parse_depot

    location = parse_depot(depot)
    listing = list_tags.list_depot(location, connector, identities=identities)
    data = {
        "depot": str(location),
        "bundles": listing.bundles,
        "not_verified_because": listing.why_not_verified or None,
    }
    lines = list(depot_lines(listing.bundles, listing.why_not_verified))
    depot_alone = replace(location, bundle="")
    return Result(data, [*lines, f"To see a bundle: airgap inspect {depot_alone}#BUNDLE"])
