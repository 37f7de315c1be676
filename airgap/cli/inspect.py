"""``airgap inspect``: show what a bundle claims to hold; verify nothing."""

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
    """Show what the bundle in SRC claims. Needs no trust, and verifies nothing.

    SRC may also be a NAME.waiver.
    """
    from airgap.cli.lines.labels import claim_lines
    from airgap.flow.bundle import open_bundle
    from airgap.flow.describe.bundle import (
        describe_attachments,
        describe_bundle,
        describe_claims,
    )
    from airgap.flow.location.location import parse_location
    from airgap.flow.trust import waivers

    if source.endswith(waivers.SUFFIX):
        waiver = waivers.read_waiver(Path(source))
        return Result(
            {"waiver": source, **describe_waiver(waiver), "verified": False},
            ["NOT VERIFIED: the waiver claims this.", *waiver_lines(waiver)],
        )
    with open_bundle.open_unverified(parse_location(source), connector) as opened:
        data = describe_bundle(opened.bundle, opened.manifest, files=files)
        claims = describe_claims(open_bundle.read_evidence(opened.reader))
        attachments = describe_attachments(opened.reader.read_attachments())
    data |= {"verified": False, "signatures": claims, "attachments": attachments}
    lines = [
        "NOT VERIFIED: the bundle claims this. `airgap verify` checks it.",
        f"bundle {opened.bundle}",
        f"created {data['created_at']} by {data['tool']}",
        (
            f"channel {data['channel']}, sequence {data['sequence']},"
            f" for {', '.join(data['audience']) or 'any site'}"
        ),
        *claim_lines(data),
        (f"{size_text(data['size'])} in {data['packs']} packs of {size_text(data['stored_size'])}"),
    ]
    lines += [f"claims to be signed: {_claim_line(claim)}" for claim in claims]
    lines += [f"attachment {one['file']} ({size_text(one['size'])})" for one in attachments]
    for item in data["items"]:
        lines.append(
            f"{item['kind']} {item['tag']}  {item['files']} files, {size_text(item['size'])}"
        )
        lines += [f"  {_entry_line(entry)}" for entry in item.get("entries", ())]
    return Result(data, lines)


def _claim_line(claim: dict[str, Any]) -> str:
    role = f"{claim['role']} ({claim['name']})" if "name" in claim else claim["role"]
    line = f"{role} {claim['key_id'] or 'unreadable'}"
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
