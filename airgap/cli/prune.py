"""``airgap prune``: remove from this machine what nothing here needs."""

import click

from airgap.cli.events import syslog_option
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.removal import carry_out


@click.command(cls=HelpCommand)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(1),
    help="Also remove all but the newest N versions of each Bento; default: all stay.",
)
@click.option(
    "--standalone", is_flag=True, help="Also remove items that came in a bundle without a Bento."
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@click.option("--yes", "-y", is_flag=True, allow_from_autoenv=False, help="Do not ask.")
@syslog_option
@reports
def command(
    *, keep: int | None, standalone: bool, dry_run: bool, yes: bool, syslog: str | None
) -> Result:
    """Remove models, snapshots, wheelhouses, files and images that nothing here needs.

    Only what airgap imported is removed; the version that `latest` names always stays. Each item is
    whole or gone, also if the command is killed; run it again to finish. A later bundle that ships
    only differences may need what is removed here: keep the versions that it builds on.
    """
    from airgap.flow.installed.remove import plan_prune

    return carry_out(
        lambda: plan_prune(keep, standalone=standalone), syslog, dry_run=dry_run, yes=yes
    )
