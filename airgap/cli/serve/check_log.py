"""``airgap serve check-log``: whether the log of a mirror's requests is whole."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, count_text
from airgap.cli.terminal import Line


@click.command(name="check-log", cls=HelpCommand)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--record", is_flag=True, help="Put the end of the log into this machine's ledger.")
@answers
def check_log(*, files: tuple[Path, ...], record: bool) -> Result:
    """Check that no line of a mirror's request log was changed, removed or added.

    Give all files of the log in their order. Lines that were cut off at the end are noticed if the
    ledger of this machine names one of them: record the end from time to time. Exits with 10 if
    the log is not whole.
    """
    from airgap.flow.serving.request_log import check_log as check
    from airgap.flow.serving.request_log import record_log

    log = check(files)
    data = {
        "log": log.start.hex(),
        "head": log.head.hex(),
        "lines": log.lines,
        "begins": log.begins,
        "ends": log.ends,
        "recorded": list(log.recorded),
        "entry": record_log(log) if record else None,
    }
    lines: list[Line] = [
        f"{count_text(log.lines, 'line')} from {log.begins} to {log.ends}, none changed",
        f"  the last one: {data['head']}",
        f"  {count_text(len(log.recorded), 'entry', 'entries')} of the ledger name lines of it",
    ]
    if record:
        lines.append(f"  recorded as entry {data['entry']}")
    return Result(data, lines)
