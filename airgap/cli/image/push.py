"""``airgap image push``: push an image to a registry."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.https_options import https_options
from airgap.cli.output import Result, count_text, location_options, reports, size_text

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector
    from airgap.flow.location.https_way import HttpsWay


@click.command(name="push", cls=HelpCommand)
@click.argument("tag")
@click.argument("reference", metavar="REGISTRY/REPOSITORY:TAG")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH",
    help="Of an index, push the one image for this platform, such as linux/amd64.",
)
@click.option(
    "--mount-from",
    metavar="REPOSITORY",
    default="",
    help="Take the blobs that this repository of the registry has from there.",
)
@click.option(
    "--token-host",
    "token_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Also send the password to this host, if the registry names it for a token.",
)
@click.option("--insecure-http", is_flag=True, help="Allow http:// to another machine.")
@https_options("registry")
@reports
@location_options
def push(  # noqa: PLR0913  (one argument per option)
    *,
    tag: str,
    reference: str,
    platforms: tuple[str, ...],
    mount_from: str,
    ca_file: Path | None,
    token_hosts: tuple[str, ...],
    insecure_http: bool,
    connector: "Connector",
    way: "HttpsWay",
) -> Result:
    """Push the installed image TAG to a registry; digests stay as they are.

    What the registry has already is not sent again, and the tag is set last: run the same command
    again if it was interrupted. Without http:// or https:// before it, the registry is spoken to in
    https, and on this machine itself in http.
    """
    from airgap.flow.image.push_image import PushOptions, parse_target, push_image

    options = PushOptions(
        connector.credentials,
        ca_file,
        token_hosts,
        insecure_http,
        platforms,
        mount_from,
        way,
    )
    data = push_image(tag, parse_target(reference), options, connector.progress)
    sent = count_text(data["blobs_sent"], "blob")
    lines = [
        f"{data['reference']} is {data['digest']}",
        f"{sent} sent ({size_text(data['bytes_sent'])}), {data['blobs_there']:,} already there",
    ]
    if data["replaced"]:
        lines.append(f"before, the tag was {data['replaced']}")
    return Result(data, lines)
