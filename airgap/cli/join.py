"""``airgap join``: put volumes together in one folder."""

from pathlib import Path

import click

from airgap.cli.output import Result, make_progress, reports


@click.command(name="join")
@click.argument("volumes", nargs=-1, required=True, metavar="VOLUME...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DEST",
    help="The depot to put them together in.",
)
@reports
def command(*, volumes: tuple[str, ...], output: Path) -> Result:
    """Copy what the volumes hold into the depot DEST. Needs no key, and proves nothing.

    Volumes may come one at a time, in any order: run it again with each. The bundle is there when
    all its packs are. Damaged packs are made again from parity, if there is enough of it.
    """
    from airgap.flow.location.location import parse_location
    from airgap.flow.media.join import join

    done = join([parse_location(volume) for volume in volumes], output, make_progress())
    about = {
        "bundle": done.bundle,
        "output": str(output),
        "packs": done.packs,
        "made_again": done.remade,
    }
    lines = [f"{output} is complete: {done.packs} packs, {done.remade} of them made from parity."]
    return Result(about, [*lines, f"bundle {done.bundle}"])
