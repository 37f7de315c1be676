"""``airgap diff``: show what changed between two bundles."""

from typing import TYPE_CHECKING

import click

from airgap.cli.shell import Result, place_options, reports, size_text

if TYPE_CHECKING:
    from airgap.flow.access import Access


@click.command(name="diff")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@reports
@place_options
def command(*, old: str, new: str, access: "Access") -> Result:
    """Show what bundle B has that bundle A has not, file by file. Proves nothing about either."""
    from airgap.flow import bundles  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415

    with (
        bundles.open_unverified(old, access) as one,
        bundles.open_unverified(new, access) as other,
    ):
        about = flow_reports.describe_difference(one, other)
    about["verified"] = False
    lines = ["NOT VERIFIED: this is what the two bundles say of themselves."]
    lines += [f"+ {name}" for name in about["added"]]
    lines += [f"- {name}" for name in about["removed"]]
    for change in about["changed"]:
        lines.append(f"~ {change['item']}")
        lines += [f"    {entry['change']}: {entry['path']}" for entry in change["entries"]]
    lines += [f"= {name}" for name in about["same"]]
    lines.append(f"{size_text(about['bytes_to_ship'])} of B are not in A.")
    return Result(about, lines)
