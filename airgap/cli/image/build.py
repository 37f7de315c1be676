"""``airgap image build``: put the image of a Bento together."""

from pathlib import Path

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, reports, tmpdir_option
from airgap.cli.progress import make_progress


@click.command(name="build", cls=HelpCommand)
@click.argument("tag")
@click.option(
    "--base",
    required=True,
    metavar="REF|PATH[:REF]",
    help="The image to build upon, with bash and the Bento's Python: an OCI layout or archive, a"
    " file of `docker save`, an installed image (NAME:VERSION), or by skopeo from a registry.",
)
@click.option(
    "--target",
    default="",
    metavar="TARGET",
    help="Of several wheelhouses of the Bento, take the one for this target.",
)
@click.option(
    "--python",
    default="",
    metavar="FILE",
    help="The path of Python in the base; default: looked for.",
)
@tmpdir_option
@reports
def build(*, tag: str, base: str, target: str, python: str, tmpdir: Path | None) -> Result:
    """Put the image of the Bento TAG together, without a daemon, root or a network.

    It has the layers of the base, a virtual environment from the Bento's wheelhouse, and the Bento
    with its models; nothing of it is run. A Bento that needs commands to be run is refused. The
    same input gives the same digest.
    """
    from airgap.flow.image.build_image import BuildRequest, build_image

    data = build_image(BuildRequest(tag, base, target, python, tmpdir), make_progress())
    lines = [
        f"image {data['image']} for {data['platform']}: {data['digest']}",
        f"base {data['base']}, packages {data['wheelhouse']}",
    ]
    return Result(data, lines)
