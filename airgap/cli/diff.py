"""``airgap diff``: show what changed between two bundles."""

import click

from airgap.cli.shell import Result, reports, size_text


@click.command(name="diff")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@reports
def command(*, old: str, new: str) -> Result:
    """Show what bundle B has that bundle A has not, file by file. Proves nothing about either."""
    from airgap.flow import bundles  # noqa: PLC0415
    from airgap.flow import reports as flow_reports  # noqa: PLC0415

    with bundles.open_unverified(old) as one, bundles.open_unverified(new) as other:
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
