"""``airgap log``: what this machine imported, refused and waived, when, and who signed it."""

import click

from airgap.cli.help import HelpCommand
from airgap.cli.ledger.options import choose_side, ledger_options
from airgap.cli.output import Result, answers
from airgap.format.ledger import EVENTS


@click.command(cls=HelpCommand)
@click.argument("tag", required=False, metavar="[TAG]")
@click.option(
    "--since",
    metavar="TIME",
    help="Leave out older entries: a date, an RFC 3339 time, or a span such as 7d.",
)
@click.option(
    "--event",
    "events",
    type=click.Choice([*EVENTS, "removed"]),
    metavar="EVENT",
    multiple=True,
    help=f"Show these events only; repeat it: {', '.join(EVENTS)}, removed.",
)
@click.option(
    "--limit",
    "-n",
    metavar="N",
    type=click.IntRange(1),
    help="Show at most N entries; default: all.",
)
@ledger_options
@answers
def command(  # noqa: PLR0913  (one argument per option)
    *,
    tag: str | None,
    since: str | None,
    events: tuple[str, ...],
    limit: int | None,
    site: str | None,
    exports: bool,
    reset: int | None,
) -> Result:
    """Show what this machine imported, refused, waived and removed, when, and who signed it.

    With --exports, what it exported, sealed, signed and approved for a site.
    The newest entry comes first. With TAG, only what is about this item (`name` or `name:version`,
    of any kind). Imports and refusals come from the ledger of the site, their items from the
    manifests that imports keep, and removals from a file that is not protected. Exits with 12 if
    the ledger is not intact; what is intact is shown.
    """
    from airgap.cli.lines.import_log import log_lines
    from airgap.cli.times import read_past
    from airgap.errors import PolicyError
    from airgap.flow.installed.import_log import LogFilter, describe_log, read_log
    from airgap.flow.installed.item_name import parse_item_name

    item = parse_item_name(tag) if tag else None
    wanted = LogFilter(item, read_past(since) if since else 0, events, limit)
    log = read_log(wanted, site, choose_side(exports=exports), reset or 0)
    code = PolicyError.exit_code if log.status.fault else 0
    return Result(describe_log(log), log_lines(log), code)
