"""``airgap image list``: list the images of this machine."""

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, size_text


@click.command(name="list", cls=HelpCommand)
@answers
def list_images() -> Result:
    """List the images that imports have installed here."""
    from airgap.flow.image.list_images import list_images as describe_images

    rows = describe_images()
    lines: list[str] = []
    for row in rows:
        lines.append(row["tag"])
        if row["problem"]:
            lines.append(f"  DAMAGED: {row['problem']}")
            continue
        lines.append(f"  {row['reference']}, {size_text(row['size'])}")
        lines.append(f"  {', '.join(row['platforms'])}; {row['digest']}")
    return Result({"images": rows}, lines or ["This machine has no images."])
