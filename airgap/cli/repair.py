"""``airgap repair``: make damaged packs again from parity."""

from pathlib import Path

import click

from airgap.cli.output import Result, make_progress, reports


@click.command(name="repair")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DEST",
    help="Write a whole depot there instead, for folders that cannot be written.",
)
@reports
def command(*, folders: tuple[str, ...], output: Path | None) -> Result:
    """Make damaged and missing packs of a depot or of volumes again. Needs no key.

    A pack is written only if its SHA-256 is the one that the manifest names.
    """
    from airgap.flow.location.location import parse_location
    from airgap.flow.media.join import join, repair

    locations = [parse_location(folder) for folder in folders]
    about: dict[str, object]
    if output is not None:
        joined = join(locations, output, make_progress())
        about = {"bundle": joined.bundle, "packs": joined.packs, "made_again": joined.remade}
        about["output"] = str(output)
        lines = [f"{output} is whole: {joined.remade} of {joined.packs} packs were made again."]
    else:
        done = repair(locations, make_progress())
        about = {"bundle": done.bundle, "packs": done.packs, "made_again": done.remade}
        about["parity_lost"] = done.parity_lost
        lines = [f"{done.remade} of {done.packs} packs were made again; all are intact now."]
        if done.parity_lost:
            lines.append(f"{done.parity_lost} parity packs are damaged or missing.")
    return Result(about, [*lines, f"bundle {about['bundle']}"])
