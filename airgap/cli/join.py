"""``airgap join``: combine volumes in one depot."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, count_text, reports
from airgap.cli.progress import make_progress


@click.command(name="join", cls=HelpCommand)
@click.argument("volumes", nargs=-1, required=True, metavar="VOLUME...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DEST",
    help="The depot to combine them in.",
)
@reports
def command(*, volumes: tuple[str, ...], output: Path) -> Result:
    """Copy the contents of volumes into the depot DEST. Needs no key, and verifies no signature.

    Volumes may come one at a time, in any order: run it again with each. The bundle appears when
    all its packs are there. Damaged packs are restored from parity, if there is enough of it.
    """
    from airgap.flow.location.location import parse_location
    from airgap.flow.media.join import join

    result = join([parse_location(volume) for volume in volumes], output, make_progress())
    data = {
        "bundle": result.bundle,
        "output": str(output),
        "packs": result.packs,
        "packs_restored": result.remade,
    }
    packs = f"{count_text(result.packs, 'pack')}, {result.remade:,} of them restored from parity"
    return Result(data, [f"{output} is complete: {packs}.", f"bundle {result.bundle}"])
