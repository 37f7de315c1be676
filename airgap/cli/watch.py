"""``airgap watch``: import the bundles that arrive in a folder."""

from pathlib import Path

import click

from airgap.cli.events import make_event_printer, warn_root
from airgap.cli.output import Result, jobs_option, reports


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--hold", is_flag=True, help="Verify bundles, but do not import them.")
@click.option(
    "--move-done",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Move finished bundles here; default: leave FOLDER unchanged.",
)
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for the log and the status; default: below AIRGAP_HOME.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a bundle must be unchanged before it is refused.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 86_400),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to check the folder.",
)
@click.option("--once", is_flag=True, help="Check once, and exit.")
@jobs_option
@reports
def command(  # noqa: PLR0913  (options)
    *,
    folder: Path,
    hold: bool,
    move_done: Path | None,
    state: Path | None,
    settle: float,
    interval: float,
    once: bool,
    jobs: int | None,
) -> Result:
    """Import every bundle that arrives in FOLDER, once it is complete.

    FOLDER may be filled by another server, a person or a mount. Finds .airgap files and bundles in
    depots. Waits for incomplete bundles; records why a bundle is refused.
    """
    from airgap.server.intake.daemon import stop_on_signals
    from airgap.server.watch import Watch, WatchOptions, default_state

    folder = folder.absolute()
    state = (state or default_state(folder)).absolute()
    move_done = move_done.absolute() if move_done else None
    warn_root()
    options = WatchOptions(folder, state, move_done, hold, settle, interval, jobs)
    watch = Watch(options, make_event_printer())
    with stop_on_signals(watch):
        watch.serve(once=once)
    return Result({"state": str(state), "stopped": True}, [f"Stopped. The log is in {state}."])
