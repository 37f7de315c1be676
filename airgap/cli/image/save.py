"""``airgap image save``: write an image as a file or a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import OutputPath, Result, reports, size_text
from airgap.cli.progress import make_progress

if TYPE_CHECKING:
    from airgap.flow.image.save_image import SaveForm


@click.command(name="save", cls=HelpCommand)
@click.argument("tag")
@click.argument("destination", metavar="DEST", type=OutputPath())
@click.option(
    "--format",
    "form",
    type=click.Choice(["layout", "oci-archive", "docker-archive"]),
    help="What to write; default: docker-archive if DEST ends in .tar, else layout.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Of an index, write the one image for this platform, such as linux/amd64.",
)
@click.option(
    "--reference",
    default="",
    metavar="NAME:TAG",
    help="Call the image so, instead of as its sender did.",
)
@reports
def save(
    *,
    tag: str,
    destination: Path,
    form: "SaveForm | None",
    platforms: tuple[str, ...],
    reference: str,
) -> Result:
    """Write the installed image TAG to DEST, a folder or a tar.

    `docker load` and `podman load` read a docker-archive, which is an OCI archive too. The same
    image gives the same bytes.
    """
    from airgap.flow.image.save_image import SaveOptions, save_image

    chosen: SaveForm = form or ("docker-archive" if destination.suffix == ".tar" else "layout")
    options = SaveOptions(chosen, platforms, reference)
    data = save_image(tag, destination, options, make_progress())
    text = f"{data['path']}: {data['format']}, {size_text(data['size'])}, {data['digest']}"
    return Result(data, [text])
