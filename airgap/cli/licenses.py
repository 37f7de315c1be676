"""``airgap licenses``: say what a licence policy says of a bundle, or of what is installed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.bom import demand_one_source
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, identity_option, jobs_option, location_options
from airgap.cli.terminal import ClaimLine
from airgap.errors import PolicyError

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="licenses", cls=HelpCommand)
@click.argument("sources", nargs=-1, metavar="[SRC]...")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The licence policy: which licences are allowed, reviewed and denied.",
)
@click.option(
    "--installed", is_flag=True, help="SRC are installed items, by tag; without SRC, all of them."
)
@identity_option
@jobs_option
@answers
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    policy: Path,
    installed: bool,
    identities: tuple[str, ...],
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Say of each item and package in SRC whether the licence policy allows it, and why.

    SRC is as for `airgap bom`. The exit code is 12 if an import with this policy would be refused:
    an item is refused, or needs a review that no approver has signed. Of installed items, only
    what is refused counts.
    """
    from airgap.flow.bill.make_bill import judge_bundle, judge_installed
    from airgap.flow.licences.gate import describe_report, report_lines
    from airgap.flow.location.location import parse_location

    if installed:
        report = judge_installed(sources, policy, connector.progress)
        passes = not report.refused
    else:
        location = parse_location(demand_one_source(sources))
        report = judge_bundle(location, policy, jobs, connector, identities)
        passes = not (report.refused or report.waiting)
    data = describe_report(report) | {"passes": passes}
    lines = list(map(ClaimLine, report_lines(report)))
    if report.approved_by:
        lines.append(ClaimLine(f"reviewed by {', '.join(report.approved_by)}"))
    return Result(data, lines, 0 if passes else PolicyError.exit_code)
