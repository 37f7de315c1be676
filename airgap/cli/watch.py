"""``airgap watch``: import the bundles that arrive in a folder."""

from pathlib import Path

import click

from airgap.cli.events import make_event_sink, syslog_option, warn_root
from airgap.cli.help import HelpCommand
from airgap.cli.lines.checks import find_exit_code, list_counts, list_refusals
from airgap.cli.output import Result, identity_option, jobs_option, reports


@click.command(cls=HelpCommand)
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
@click.option(
    "--time-limit",
    type=click.FloatRange(1, 2_678_400),
    default=21_600.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for one import; a bundle that takes longer is refused.",
)
@click.option(
    "--once", is_flag=True, help="Check once, and exit with the code of the worst verdict."
)
@identity_option
@jobs_option
@syslog_option
@reports
def command(  # noqa: PLR0913  (options)
    *,
    folder: Path,
    hold: bool,
    move_done: Path | None,
    state: Path | None,
    settle: float,
    interval: float,
    time_limit: float,
    once: bool,
    identities: tuple[str, ...],
    jobs: int | None,
    syslog: str | None,
) -> Result:
    """Import every bundle that arrives in FOLDER, once it is complete.

    FOLDER may be filled by another server, a person or a mount. Finds .airgap files and bundles in
    depots, and takes the oldest first. Waits for incomplete bundles, and for what a bundle builds
    on; records why a bundle is refused.

    With --once, the exit code is 0 if every bundle was imported, held or is still arriving, and 13
    if one waits for another. A bundle that was refused counts again each time, until it is changed
    or removed.
    """
    from airgap.server.intake.daemon import stop_on_signals
    from airgap.server.watch import Watch, WatchOptions, default_state

    quiet = click.get_current_context().obj["quiet"]
    folder = folder.absolute()
    state = (state or default_state(folder)).absolute()
    move_done = move_done.absolute() if move_done else None
    warn_root()
    options = WatchOptions(
        folder, state, move_done, hold, settle, interval, jobs, time_limit, once, identities
    )
    watch = Watch(options, make_event_sink(syslog))
    data = {"state": str(state), "stopped": True}
    with stop_on_signals(watch):
        if not once:
            watch.serve()
            return Result(data, [] if quiet else [f"Stopped. The log is in {state}."])
        summary = watch.check_once()
    data |= {"verdict": summary.kind, "counts": summary.counts, "items": list(summary.items)}
    lines = list_refusals(summary)
    if not quiet:
        lines += [*list_counts(summary), f"The log is in {state}."]
    return Result(data, lines, find_exit_code(summary.kind))
