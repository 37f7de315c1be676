"""``airgap remove``: remove items from this machine."""

import click

from airgap.cli.events import syslog_option
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.removal import carry_out


@click.command(cls=HelpCommand)
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option(
    "--kind",
    metavar="KIND",
    default="",
    help="TAG names items of this kind: bento, model, hugging-face, files, wheelhouse or image.",
)
@click.option("--force", is_flag=True, help="Also remove what a Bento here needs.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@click.option("--yes", "-y", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@syslog_option
@reports
def command(  # noqa: PLR0913  (one argument per option)
    *,
    tags: tuple[str, ...],
    kind: str,
    force: bool,
    dry_run: bool,
    yes: bool,
    syslog: str | None,
) -> Result:
    """Remove the items TAG (`name:version`) from this machine.

    An item that a Bento or an environment here needs is refused without --force. Each item is whole
    or gone, also if the command is killed; run it again to finish. What was imported stays in the
    ledger, and can be imported again.
    """
    from airgap.flow.installed.item_name import parse_item_name
    from airgap.flow.installed.remove import plan_removal

    names = [parse_item_name(tag, kind) for tag in tags]
    return carry_out(lambda: plan_removal(names, force=force), syslog, dry_run=dry_run, yes=yes)
