"""``airgap repair``: restore damaged packs from parity."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports
from airgap.cli.progress import make_progress


@click.command(name="repair", cls=HelpCommand)
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DEST",
    help="Write a complete depot there instead, for folders that are read-only.",
)
@reports
def command(*, folders: tuple[str, ...], output: Path | None) -> Result:
    """Restore damaged and missing packs of a depot or of volumes. Needs no key.

    A pack is written only if its SHA-256 is the one in the manifest.
    """
    from airgap.flow.location.location import parse_location
    from airgap.flow.media.join import join, repair

    locations = [parse_location(folder) for folder in folders]
    data: dict[str, object]
    if output is not None:
        joined = join(locations, output, make_progress())
        data = {"bundle": joined.bundle, "packs": joined.packs, "packs_restored": joined.remade}
        data["output"] = str(output)
        lines = [f"{output} is complete: packs restored: {joined.remade:,} of {joined.packs:,}."]
    else:
        result = repair(locations, make_progress())
        data = {"bundle": result.bundle, "packs": result.packs, "packs_restored": result.remade}
        data["parity_lost"] = result.parity_lost
        lines = [f"packs restored: {result.remade:,} of {result.packs:,}; all are intact now."]
        if result.parity_lost:
            lines.append(f"parity packs damaged or missing: {result.parity_lost:,}.")
    return Result(data, [*lines, f"bundle {data['bundle']}"])
