"""``airgap serve dropbox``: an FTP and FTPS server that bundles are left at."""

from pathlib import Path

import click

from airgap.cli.events import make_event_printer, warn_root
from airgap.cli.output import Result, reports


@click.command()
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The drop box's own config file (docs/gateway-drop-box.md).",
)
@click.option("--check", "only_check", is_flag=True, help="Say what it would do, and end.")
@reports
def dropbox(*, config_file: Path, only_check: bool) -> Result:
    """Take bundles over FTP and FTPS, verify them, and import or hold them.

    Accounts can leave files and do nothing else. SIGTERM and Ctrl-C stop it; what it was doing is
    taken up by the next one.
    """
    from airgap.server.dropbox import settings as server_settings
    from airgap.server.dropbox.service import DropBox, check
    from airgap.server.intake.daemon import stopped_by_signals

    settings = server_settings.load(config_file)
    about = server_settings.describe(settings)
    if only_check:
        check(settings)
        return Result({"config": str(config_file), "fit": True, "does": about}, about)
    warn_root()
    box = DropBox(settings, make_event_printer())
    with stopped_by_signals(box):
        box.serve()
    return Result({"stopped": True}, ["Stopped."])
