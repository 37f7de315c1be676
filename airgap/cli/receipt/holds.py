"""``airgap receipt holds``: what a site holds."""

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, count_text


@click.command(name="holds", cls=HelpCommand)
@click.argument("site")
@answers
def holds(*, site: str) -> Result:
    """List the bundles that SITE still has whole, by its newest receipt.

    `airgap export --base receipt:SITE` leaves out what they have. Of several machines of a site,
    what all of them have is listed. The site compared files and sizes for that; contents are read
    by `airgap check` only.
    """
    from airgap.flow.receipts.confirmations import list_held
    from airgap.flow.receipts.describe import describe_holds

    held = list_held(site)
    here = set(held.exported)
    lines = [
        bundle if bundle in here else f"{bundle}  not exported here" for bundle in held.bundles
    ]
    lines.append(f"Site {site} holds {count_text(len(held.bundles), 'bundle')}.")
    return Result(describe_holds(held), lines)
