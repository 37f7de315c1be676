"""``airgap repair``: make damaged packs again from parity."""

from pathlib import Path

import click

from airgap.cli.output import Result, make_progress, reports


@click.command(name="repair")
@click.argument("places", nargs=-1, required=True, metavar="PLACE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DEST",
    help="Write a whole depot there instead, for places that cannot be written.",
)
@reports
def command(*, places: tuple[str, ...], output: Path | None) -> Result:
    """Make damaged and missing packs again, in the depot or the volumes PLACE.... Needs no key.

    A pack is written only if its SHA-256 is the one that the manifest names.
    """
    from airgap.flow.media.join import join, repair

    about: dict[str, object]
    if output is not None:
        joined = join(places, output, make_progress())
        about = {"bundle": joined.bundle, "packs": joined.packs, "made_again": joined.remade}
        about["output"] = str(output)
        lines = [f"{output} is whole: {joined.remade} of {joined.packs} packs were made again."]
    else:
        done = repair(places, make_progress())
        about = {"bundle": done.bundle, "packs": done.packs, "made_again": done.remade}
        about["parity_lost"] = done.parity_lost
        lines = [f"{done.remade} of {done.packs} packs were made again; all are intact now."]
        if done.parity_lost:
            lines.append(f"{done.parity_lost} parity packs are damaged or missing.")
    return Result(about, [*lines, f"bundle {about['bundle']}"])
