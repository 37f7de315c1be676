"""``airgap root demand``: demand an attestation of every bundle."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.root.proposal import edit, edits
from airgap.cli.times import read_span
from airgap.errors import UsageError


@click.command(name="demand", cls=HelpCommand)
@edits
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["scanner", "approver"]), help="Whose attestation it must be."
)
@click.option(
    "--threshold",
    metavar="K",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="How many keys of the role must accept the bundle; 0: it is not demanded any more.",
)
@click.option("--max-age", metavar="AGE", help="How old it may be at most, such as 30d.")
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    root: Path,
    output: Path | None,
    name: str,
    role: str | None,
    threshold: int,
    max_age: str | None,
) -> Result:
    """Demand the attestation NAME of every bundle, such as rehearsal or licence.

    The threshold of the role scanner demands `malware`, that of approver `review`.
    """
    from airgap.format import root_edits
    from airgap.format.site_rules import Demand

    if not threshold:
        return edit(root, lambda old: root_edits.remove_demand(old, name), output)
    if role is None:
        raise UsageError("A demand needs a role.", "Give --role scanner or --role approver.")
    age = None if max_age is None else read_span(max_age)
    demand = Demand(name, "scanner" if role == "scanner" else "approver", threshold, age)
    return edit(root, lambda old: root_edits.set_demand(old, demand), output)
