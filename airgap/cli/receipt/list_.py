"""``airgap receipt list``: what was confirmed, and what was not."""

from typing import Final

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers

_NONE: Final = "No receipt was accepted on this machine."


@click.command(name="list", cls=HelpCommand)
@click.option("--site", metavar="SITE", help="Of this site alone.")
@click.option("--missing", is_flag=True, help="The exported bundles that no receipt confirms.")
@answers
def list_(*, site: str | None, missing: bool) -> Result:
    """List the receipts that this machine has accepted, or who has not confirmed what since when.

    A bundle without an audience counts for each site of which a receipt was accepted.
    """
    from airgap.flow.receipts import confirmations as accepted
    from airgap.flow.receipts.describe import describe_confirmation, describe_unconfirmed
    from airgap.times import format_time

    if missing:
        unconfirmed = accepted.list_unconfirmed(site)
        lines = [
            f"{row.site}  {row.channel} {row.sequence}  exported {format_time(row.exported_at)}"
            f"{'  (a note only)' if row.has_note else ''}  {row.bundle}"
            for row in unconfirmed
        ]
        data = {"missing": [describe_unconfirmed(row) for row in unconfirmed]}
        if lines or accepted.list_confirmations(site):
            return Result(data, lines or ["Every bundle that was exported here is confirmed."])
        return Result(data, [_NONE, "Bundles without an audience count from the first one on."])
    rows = accepted.list_confirmations(site)
    lines = [
        f"{row.site}  {'imported' if row.passed else 'refused'}"
        f"  {'receipt' if row.ledger else 'note'} of {row.size:,} entries  {row.bundle}"
        for row in rows
    ]
    data = {"receipts": [describe_confirmation(row) for row in rows]}
    return Result(data, lines or [_NONE])
