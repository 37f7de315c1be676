"""``airgap inspect``: show what a bundle claims to hold; verify nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.lines.contents import content_lines, item_lines, signature_lines
from airgap.cli.output import Result, answers, location_options
from airgap.cli.terminal import ClaimLine
from airgap.cli.waive import waiver_lines

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="inspect", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@click.option("--files", is_flag=True, help="List every file with its SHA-256.")
@answers
@location_options
def command(*, source: str, files: bool, connector: "Connector") -> Result:
    """Show what the bundle in SRC claims. Needs no trust, and verifies nothing.

    SRC may also be a NAME.waiver.
    """
    from airgap.flow.bundle import open_bundle
    from airgap.flow.bundle.reports import attachment_lines, describe_files, judge_files
    from airgap.flow.describe.bundle import (
        describe_bundle,
        describe_claims,
    )
    from airgap.flow.environment.packages import list_absent
    from airgap.flow.location.location import parse_location
    from airgap.flow.trust import waivers
    from airgap.flow.trust.describe import describe_waiver

    if source.endswith(waivers.SUFFIX):
        waiver = waivers.read_waiver(Path(source))
        return Result(
            {"waiver": source, **describe_waiver(waiver), "verified": False},
            ["NOT VERIFIED: the waiver claims this.", *waiver_lines(waiver)],
        )
    with open_bundle.open_unverified(parse_location(source), connector) as opened:
        data = describe_bundle(opened.bundle, opened.manifest, files=files)
        claims = describe_claims(open_bundle.read_evidence(opened.reader))
        attached = judge_files(opened.reader.read_attachments(), opened.bundle, None)
        absent = list_absent(opened.manifest.items)
    data |= {
        "verified": False,
        "signatures": claims,
        "attachments": describe_files(attached),
        "absent_packages": absent,
    }
    lines = [
        "NOT VERIFIED: the bundle claims this. `airgap verify` checks it.",
        *content_lines(data),
        *signature_lines(claims, opened.bundle),
        *map(ClaimLine, attachment_lines(attached)),
        *item_lines(data["items"]),
        *(f"the Python packages of bento {tag} are neither in it nor here" for tag in absent),
    ]
    return Result(data, lines)
