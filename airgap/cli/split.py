"""``airgap split``: spread a bundle over volumes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.media_options import (
    ManyValues,
    media_options,
    parity_lines,
    read_volume_options,
    volume_lines,
)
from airgap.cli.output import Result, location_options, reports
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="split", cls=ManyValues)
@click.argument("source", metavar="SRC")
@click.option("-o", "--output", metavar="DIR", help="Write folders volume-1of7 and so on into it.")
@media_options
@reports
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    source: str,
    output: str | None,
    volume_size: str | None,
    volumes: tuple[Path, ...],
    parity: int,
    verify_after_write: bool,
    connector: "Connector",
) -> Result:
    """Copy the bundle in SRC, a depot or a .airgap file, onto volumes. Needs no key.

    Each volume holds whole packs, and the manifest with its signatures: it can be verified alone.
    Without --parity, the parity packs that the bundle has are spread as well.
    """
    from airgap.flow.location.location import parse_location
    from airgap.flow.media.split import split

    media = read_volume_options(output, volume_size, volumes, parity, read_back=verify_after_write)
    if not media.makes_volumes:
        raise UsageError(
            "The size of a volume is missing.", "Give --volume-size SIZE or --volumes DIR..."
        )
    result = split(parse_location(source), media, connector.progress, connector)
    folders = [str(folder) for folder in result.folders]
    data = {
        "bundle": result.bundle,
        "volumes": folders,
        "packs": [len(part.packs) for part in result.parts],
        "parity": [len(part.parity) for part in result.parts],
        "sizes": list(result.sizes),
        "survives_loss_of_a_volume": result.survives,
        "read_back": media.read_back,
    }
    packs = sum(len(part.packs) for part in result.parts)
    parity_packs = sum(len(part.parity) for part in result.parts)
    sizes = zip(result.sizes, result.written, strict=True)
    lines = volume_lines(folders, sizes if media.folders else ())
    lines += parity_lines(packs, parity_packs, media.percent, survives=result.survives)
    lines += ["All volumes were read back from the media."] if media.read_back else []
    return Result(data, [*lines, f"bundle {result.bundle}"])
