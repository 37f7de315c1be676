"""``airgap copy``: copy bundles from any location to any."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.output import Result, jobs_option, location_options, reports, size_text

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="copy")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--verify-after-write",
    is_flag=True,
    help="Read back what a server stored, also what was there before.",
)
@click.option(
    "--tmpdir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where packs and single files wait; default: the system's.",
)
@jobs_option
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    destination: str,
    verify_after_write: bool,
    tmpdir: Path | None,
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Copy the bundle in SRC (a depot: all of its bundles; DEPOT#ID; a .airgap file; -) to DST.

    DST is a depot or a .airgap file. Both may be folders, URLs or @REMOTEs. Packs that are there
    are not sent again; a copy that was cut off goes on when it is run again. Every pack is compared
    with its name, but nothing is trusted: no key is needed, and whoever reads the copy verifies it.
    """
    del jobs  # it is in ``connector``
    from airgap.flow.depot import copy_bundle
    from airgap.flow.location.location import parse_location

    transfer = replace(connector.transfer, spool=tmpdir, verify_after_write=verify_after_write)
    done = copy_bundle.copy_bundle(
        parse_location(source),
        parse_location(destination, to_write=True),
        connector.progress,
        replace(connector, transfer=transfer),
    )
    lines = [
        f"bundle {one.bundle}: {one.packs_copied} packs copied ({size_text(one.bytes_copied)}),"
        f" {one.packs_there} already there"
        for one in done
    ]
    about = [
        {
            "bundle": one.bundle,
            "packs_copied": one.packs_copied,
            "packs_there": one.packs_there,
            "bytes_copied": one.bytes_copied,
        }
        for one in done
    ]
    return Result({"bundles": about, "verified": False}, lines)
