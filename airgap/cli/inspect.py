"""``airgap inspect``: show what a bundle says it holds; prove nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.output import Result, location_options, reports, size_text
from airgap.cli.waive import describe_waiver, waiver_lines

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector


@click.command(name="inspect")
@click.argument("source", metavar="SRC")
@click.option("--files", is_flag=True, help="List every file with its SHA-256.")
@reports
@location_options
def command(*, source: str, files: bool, connector: "Connector") -> Result:
    """Show what the bundle in SRC says of itself. Needs no trust, and proves nothing.

    SRC may be a NAME.waiver too.
    """
    from airgap.flow.bundle import open_bundle
    from airgap.flow.describe.bundle import describe_bundle, describe_claims
    from airgap.flow.location.location import parse_location
    from airgap.flow.trust import waivers

    if source.endswith(waivers.SUFFIX):
        one = waivers.read_waiver(Path(source))
        return Result(
            {"waiver": source, **describe_waiver(one), "verified": False},
            ["NOT VERIFIED: this is what the waiver says of itself.", *waiver_lines(one)],
        )
    with open_bundle.open_unverified(parse_location(source), connector) as opened:
        about = describe_bundle(opened.bundle, opened.manifest, files=files)
        claims = describe_claims(open_bundle.read_evidence(opened.reader))
    about |= {"verified": False, "signatures": claims}
    lines = [
        "NOT VERIFIED: this is what the bundle says of itself. `airgap verify` checks it.",
        f"bundle {opened.bundle}",
        f"created {about['created_at']} by {about['tool']}",
        (
            f"channel {about['channel']}, sequence {about['sequence']},"
            f" for {', '.join(about['audience']) or 'any site'}"
        ),
        (
            f"{size_text(about['size'])} in {about['packs']} packs of"
            f" {size_text(about['stored_size'])}"
        ),
    ]
    lines += [f"claims to be signed: {_claim_line(one)}" for one in claims]
    for item in about["items"]:
        lines.append(
            f"{item['kind']} {item['tag']}  {item['files']} files, {size_text(item['size'])}"
        )
        lines += [f"  {_entry_line(entry)}" for entry in item.get("entries", ())]
    return Result(about, lines)


def _claim_line(claim: dict[str, Any]) -> str:
    line = f"{claim['role']} {claim['key_id'] or 'unreadable'}"
    if "decision" in claim:
        line += f", {claim['decision']} of {claim['bundle'][:12]}… at {claim['time']}"
        line += f": {claim['note']}" if claim["note"] else ""
    return line


def _entry_line(entry: dict[str, object]) -> str:
    if "link_to" in entry:
        return f"{entry['path']} -> {entry['link_to']}"
    if "empty_folder" in entry:
        return f"{entry['path']}/"
    return f"{entry['sha256']}  {entry['path']}"
