"""``airgap serve dropbox``: an FTP and FTPS server that receives bundles."""

from pathlib import Path

import click

from airgap.cli.events import make_event_sink, syslog_option, warn_root
from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, identity_option, reports


@click.command(cls=HelpCommand)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="Config file of the drop box (docs/gateway-drop-box.md).",
)
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Check the config file, print its effect, and exit.",
)
@identity_option
@syslog_option
@reports
def dropbox(
    *, config_file: Path, only_check: bool, identities: tuple[str, ...], syslog: str | None
) -> Result:
    """Receive bundles over FTP and FTPS, verify them, and import or hold them.

    Accounts can deliver files and do nothing else. SIGTERM and Ctrl-C stop the server; the next
    start resumes interrupted imports.
    """
    from airgap.server.dropbox import settings as server_settings
    from airgap.server.dropbox.server import DropBox, check_settings
    from airgap.server.intake.daemon import stop_on_signals

    settings = server_settings.load(config_file)
    description = server_settings.describe(settings)
    if only_check:
        check_settings(settings)
        data = {"config": str(config_file), "fit": True, "does": description}
        return Result(data, description)
    warn_root()
    box = DropBox(settings, make_event_sink(syslog), identities=identities)
    with stop_on_signals(box):
        box.serve()
    quiet = click.get_current_context().obj["quiet"]
    return Result({"stopped": True}, [] if quiet else ["Stopped."])
