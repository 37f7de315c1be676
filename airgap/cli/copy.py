"""``airgap copy``: copy bundles from one location to another."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.lines.disk_use import written_lines
from airgap.cli.output import (
    Result,
    count_text,
    jobs_option,
    location_options,
    reports,
    size_text,
    tmpdir_option,
)
from airgap.cli.room_option import read_room, room_option

if TYPE_CHECKING:
    from airgap.flow.depot.copy_bundle import CopyResult
    from airgap.flow.location.connector import Connector
    from airgap.flow.location.location import Location

__all__ = ["command", "make_result"]


@click.command(name="copy", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--verify-after-write",
    is_flag=True,
    help="Read back what the server stored, and also what it had before.",
)
@room_option
@tmpdir_option
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    destination: str,
    verify_after_write: bool,
    room: str | None,
    tmpdir: Path | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Copy the bundle in SRC (a depot: all of its bundles; DEPOT#ID; a .airgap file; -) to DST.

    DST is a depot or a .airgap file. Both may be folders, URLs or @REMOTEs. Packs that are there
    are not sent again; an interrupted copy continues when it is run again. Every pack is compared
    with its name, but nothing is trusted: no key is needed, and the reader of the copy verifies it.
    """
    del jobs  # it is in ``connector``
    from airgap.flow.depot import copy_bundle
    from airgap.flow.location.location import parse_location

    target = parse_location(destination, to_write=True)
    transfer = replace(
        connector.transfer,
        spool=tmpdir,
        verify_after_write=verify_after_write,
        room=read_room(room, target),
    )
    results = copy_bundle.copy_bundle(
        parse_location(source),
        target,
        connector.progress,
        replace(connector, transfer=transfer),
    )
    return make_result(results, target)


def make_result(results: "Sequence[CopyResult]", target: "Location") -> Result:
    """Say what was copied of each bundle, and what was there already."""
    from airgap.flow.disk_use import describe_peak
    from airgap.flow.location.location import StandardInput

    lines = [
        f"bundle {result.bundle}: {count_text(result.packs_copied, 'pack')} copied"
        f" ({size_text(result.bytes_copied)}), {result.packs_there:,} already there"
        for result in results
    ]
    bundles = [
        {
            "bundle": result.bundle,
            "packs_copied": result.packs_copied,
            "packs_there": result.packs_there,
            "bytes_copied": result.bytes_copied,
            "disk_use": [describe_peak(peak) for peak in result.peaks],
        }
        for result in results
    ]
    if isinstance(target, StandardInput):
        return Result({"bundles": bundles, "verified": False})
    lines += written_lines(sum(result.bytes_copied for result in results), target)
    return Result({"bundles": bundles, "verified": False}, lines)
