"""``airgap watch``: import what arrives in a folder."""

from pathlib import Path

import click

from airgap.cli.events import make_event_printer, warn_root
from airgap.cli.output import Result, jobs_option, reports


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--hold", is_flag=True, help="Verify, and leave the import to a person.")
@click.option(
    "--move-done",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Move what is done with here; without this nothing in FOLDER is touched.",
)
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where to remember what was done; default: below AIRGAP_HOME.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a thing must not have changed before it is refused.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 86_400),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--once", is_flag=True, help="Look once, do what can be done now, and end.")
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
    """Import every bundle that arrives in FOLDER, once it is all there.

    FOLDER may be filled by another server, a person or a mount. Bundles are .airgap files and
    those of depots. What is not whole is waited for; what is refused is noted with the reason.
    """
    from airgap.server.intake.daemon import stopped_by_signals
    from airgap.server.watch import Watch, WatchOptions, default_state

    folder = folder.absolute()
    place = (state or default_state(folder)).absolute()
    done = move_done.absolute() if move_done else None
    warn_root()
    watch = Watch(
        WatchOptions(folder, place, done, hold, settle, interval, jobs), make_event_printer()
    )
    with stopped_by_signals(watch):
        watch.serve(once=once)
    return Result({"state": str(place), "stopped": True}, [f"Stopped. {place} says what was done."])
