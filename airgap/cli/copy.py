"""``airgap copy``: copy bundles from any place to any place."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.output import Result, jobs_option, make_progress, place_options, reports, size_text

if TYPE_CHECKING:
    from airgap.flow.location.credentials import Access


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
@place_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    destination: str,
    verify_after_write: bool,
    tmpdir: Path | None,
    jobs: int | None,
    access: "Access",
) -> Result:
    """Copy the bundle in SRC (a depot: all of its bundles; DEPOT#ID; a .airgap file; -) to DST.

    DST is a depot or a .airgap file. Both may be folders, URLs or @REMOTEs. Packs that are there
    are not sent again; a copy that was cut off goes on when it is run again. Every pack is compared
    with its name, but nothing is trusted: no key is needed, and whoever reads the copy verifies it.
    """
    del jobs  # it is in ``access``
    from airgap.flow.depot import copy_bundle

    chosen = replace(access, spool=tmpdir, verify_after_write=verify_after_write)
    done = copy_bundle.copy_bundle(source, destination, make_progress(), chosen)
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
