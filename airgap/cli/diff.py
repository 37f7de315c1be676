"""``airgap diff``: show what changed between two bundles."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, identity_option, location_options, size_text
from airgap.printable import quote

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector

_PARTS: Final = 8
"""How many tensors of a file are named."""


@click.command(name="diff", cls=HelpCommand)
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@identity_option
@answers
@location_options
def command(*, old: str, new: str, identities: tuple[str, ...], connector: "Connector") -> Result:
    """Show what changed from bundle A to bundle B: items, files, tensors, and their size.

    Verifies neither; a sealed one is opened with --identity if builders of this site signed it.
    Sizes are those in B's packs; `airgap export --base A` may need less, where it stores
    differences.
    """
    from airgap.flow.bundle import base_bundles
    from airgap.flow.chunks import diff
    from airgap.flow.location.location import parse_location

    with (
        base_bundles.open_newest(parse_location(old), connector, identities) as (
            before,
            old_bundle,
        ),
        base_bundles.open_newest(parse_location(new), connector, identities) as (after, new_bundle),
    ):
        data = diff.describe_difference(old_bundle, new_bundle)
    data |= {"old": before, "new": after, "verified": False}
    lines = ["NOT VERIFIED: the two bundles claim this."]
    lines += [f"+ {name}" for name in data["added"]]
    lines += [f"- {name}" for name in data["removed"]]
    for change in data["changed"]:
        note = "" if change["before"] == change["item"] else f" (was {change['before']})"
        lines.append(f"~ {change['item']}{note}")
        lines += [line for entry in change["entries"] for line in _entry_lines(entry)]
    lines += [f"= {name}" for name in data["same"]]
    to_ship, stored = size_text(data["bytes_to_ship"]), size_text(data["bytes_stored"])
    if data["added"] or data["removed"] or data["changed"]:
        lines.append(f"{to_ship} of B are not in A; they take {stored} in its packs.")
    else:
        lines.append("A and B have the same content.")
    return Result(data, lines)


def _entry_lines(entry: dict[str, Any]) -> Iterator[str]:
    cost = f" ({size_text(entry['bytes_stored'])})" if "bytes_stored" in entry else ""
    yield f"    {entry['change']}: {entry['path']}{cost}"
    for change in ("changed", "added", "removed"):
        names = entry.get(f"parts_{change}", [])
        yield from (f"        {change}: {quote(name, 100)}" for name in names[:_PARTS])
        if len(names) > _PARTS:
            yield f"        {change}: {len(names) - _PARTS} more (--json names them)"
