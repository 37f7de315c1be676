"""``airgap gc``: remove files that no bundle of a depot needs."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, count_text, location_options, reports, size_text
from airgap.cli.times import read_span

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector

_TRIES: Final = 3  # a file must not be removed long after its announcement
_SHOWN: Final = 20


@click.command(name="gc", cls=HelpCommand)
@click.argument("depot", metavar="DEPOT")
@click.option(
    "--older-than",
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="Remove files that an earlier run marked this long ago: 12h, 7d; 0: at once.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed; write nothing.")
@reports
@location_options
def command(*, depot: str, older_than: str, dry_run: bool, connector: "Connector") -> Result:
    """Remove packs of DEPOT that no bundle needs any more, and the remains of broken uploads.

    Unneeded files are marked first, and removed by a later run. Others may push and pull
    meanwhile: no file that they need is removed. An upload that takes longer than --older-than may
    have to send packs again.
    """
    from airgap.flow.depot import gc, open_depot
    from airgap.flow.location.location import parse_depot

    location = parse_depot(depot)
    options = gc.GcOptions(read_span(older_than), int(time.time()), dry_run)
    transfer = replace(connector.transfer, tries=_TRIES)
    with open_depot.open_depot(location, replace(connector, transfer=transfer)) as opened:
        result = gc.collect_garbage(opened, options, connector.progress)
    data = {
        "depot": str(location),
        "dry_run": dry_run,
        "removed": dict(result.removed),
        "removed_bytes": sum(result.removed.values()),
        "marked": dict(result.kept),
        "marked_bytes": sum(result.kept.values()),
    }
    verb = "would remove" if dry_run else "removed"
    lines = [*_lines(verb, result.removed), *_lines("marked, to be removed later:", result.kept)]
    return Result(data, lines or ["Every file is needed; nothing was removed."])


def _lines(verb: str, files: Mapping[str, int]) -> list[str]:
    if not files:
        return []
    lines = [f"{verb} {count_text(len(files), 'file')}, {size_text(sum(files.values()))}"]
    lines += [f"  {name.rpartition('/')[2]}" for name in list(files)[:_SHOWN]]
    if len(files) > _SHOWN:
        lines.append(f"  and {len(files) - _SHOWN} more (--json names them)")
    return lines
