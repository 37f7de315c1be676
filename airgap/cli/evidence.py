"""``airgap evidence``: collect what speaks of a bundle, for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import OutputPath, Result, count_text, location_options, reports

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="evidence", cls=HelpCommand)
@click.argument("source", metavar="SRC")
@click.option(
    "-o",
    "--output",
    metavar="DEST",
    type=OutputPath(),
    required=True,
    help="A file NAME.intoto.jsonl, or a new folder with all that openssl needs.",
)
@reports
@location_options
def command(*, source: str, output: Path, connector: "Connector") -> Result:
    """Collect signatures, attestations, attachments and statements of the bundle in SRC.

    Into a file, as an in-toto bundle; or into a folder, with the manifest, the root that this
    machine trusts, its keys, and a script that checks every signature with openssl. Nothing is
    verified, and packs are not read.
    """
    from airgap.flow.bundle.open_bundle import open_unverified
    from airgap.flow.evidence.collect import collect
    from airgap.flow.evidence.write import write_evidence
    from airgap.flow.location.location import parse_location

    with open_unverified(parse_location(source), connector) as opened:
        evidence = collect(opened)
    data = write_evidence(evidence, output)
    is_file = data["form"] == "file"
    found = count_text(data["count"], "statement" if is_file else "signature")
    lines = [f"{found} in {output}; nothing was verified", f"bundle {data['bundle']}"]
    if evidence.small.manifest.sealed:
        lines.append("It is sealed: what was signed inside is there after `airgap unseal`.")
    if not is_file and evidence.pinned is None:
        lines.append("This machine trusts no site: no keys are there, and no signature to check.")
    elif not is_file:
        lines.append(f"To check it: sh {output}/check.sh")
    return Result(data, lines)
