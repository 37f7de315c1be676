"""``airgap diff``: show what changed between two bundles."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from airgap.cli.output import Result, location_options, reports, size_text

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector

_PARTS: Final = 8
"""How many tensors of a file are named."""


@click.command(name="diff")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@reports
@location_options
def command(*, old: str, new: str, connector: "Connector") -> Result:
    """Show what bundle B has that bundle A has not: items, files, tensors, and what that costs.

    Proves nothing about either. What it costs is what B's packs hold of it; less, where
    `airgap export --base A` stores differences.
    """
    from airgap.flow.bundle import base_bundles
    from airgap.flow.chunks import diff
    from airgap.flow.location.location import parse_location

    with (
        base_bundles.open_newest(parse_location(old), connector) as (before, one),
        base_bundles.open_newest(parse_location(new), connector) as (after, other),
    ):
        about = diff.describe_difference(one, other)
    about |= {"old": before, "new": after, "verified": False}
    lines = ["NOT VERIFIED: this is what the two bundles say of themselves."]
    lines += [f"+ {name}" for name in about["added"]]
    lines += [f"- {name}" for name in about["removed"]]
    for change in about["changed"]:
        told = "" if change["before"] == change["item"] else f" (was {change['before']})"
        lines.append(f"~ {change['item']}{told}")
        lines += [line for entry in change["entries"] for line in _entry_lines(entry)]
    lines += [f"= {name}" for name in about["same"]]
    to_ship, stored = size_text(about["bytes_to_ship"]), size_text(about["bytes_stored"])
    if about["added"] or about["removed"] or about["changed"]:
        lines.append(f"{to_ship} of B are not in A; its packs hold them in {stored}.")
    else:
        lines.append("A and B hold the same.")
    return Result(about, lines)


def _entry_lines(entry: dict[str, Any]) -> Iterator[str]:
    cost = f" ({size_text(entry['bytes_stored'])})" if "bytes_stored" in entry else ""
    yield f"    {entry['change']}: {entry['path']}{cost}"
    for change in ("changed", "added", "removed"):
        names = entry.get(f"parts_{change}", [])
        yield from (f"        {change}: {name!r:.100}" for name in names[:_PARTS])
        if len(names) > _PARTS:
            yield f"        {change}: {len(names) - _PARTS} more (--json names them)"
