"""``airgap bom``: write the bill of materials of a bundle, or of what is installed."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import (
    OutputPath,
    Result,
    answers,
    count_text,
    identity_option,
    jobs_option,
    location_options,
    size_text,
)
from airgap.errors import UsageError

if TYPE_CHECKING:
    from airgap.flow.bill.make_bill import Inspected
    from airgap.flow.location.connector import Connector

__all__ = ["command", "demand_one_source"]


@click.command(name="bom", cls=HelpCommand)
@click.argument("sources", nargs=-1, metavar="[SRC]...")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["cyclonedx-1.6", "cyclonedx-1.7"]),
    default="cyclonedx-1.6",
    show_default=True,
    help="The form of the bill.",
)
@click.option(
    "-o",
    "--output",
    type=OutputPath(dir_okay=False),
    metavar="FILE",
    help="Write it here; default: to standard output.",
)
@click.option(
    "--installed", is_flag=True, help="SRC are installed items, by tag; without SRC, all of them."
)
@click.option(
    "--no-files", is_flag=True, help="Leave out the files of items; the bill says that it does."
)
@identity_option
@jobs_option
@answers
@location_options
def command(  # noqa: PLR0913  (one argument per option)
    *,
    sources: tuple[str, ...],
    format_name: str,
    output: Path | None,
    installed: bool,
    no_files: bool,
    identities: tuple[str, ...],
    jobs: int | None,
    connector: "Connector",
) -> Result:
    """Write the bill of materials of the bundle in SRC: models, data, packages, images, licences.

    SRC is as for `airgap verify`. Enough builders of this machine's site must have signed it; how
    old it is, and for which site, does not matter. The same bundle gives the same bytes. What could
    not be read, and what the bill cannot know, is said in it.
    """
    from airgap.bom.cyclonedx import FORMATS, encode_bill, write_bill
    from airgap.flow.bill.make_bill import bill_bundle, bill_installed, save_bill
    from airgap.flow.location.location import parse_location

    if installed:
        inspected = bill_installed(sources, connector.progress)
    else:
        location = parse_location(demand_one_source(sources))
        inspected = bill_bundle(location, jobs, connector, identities)
    document = write_bill(inspected.bill, FORMATS[format_name], with_files=not no_files)
    raw = encode_bill(document)
    if output is None:
        return Result(document, raw.decode().splitlines())
    save_bill(output, raw)
    return _describe(inspected, raw, output, format_name)


def demand_one_source(sources: tuple[str, ...]) -> str:
    """Return the one location. Raises UsageError: there is none, or there are several."""
    if len(sources) != 1:
        raise UsageError(
            "Give one bundle.", "Or give --installed, for what is installed on this machine."
        )
    return sources[0]


def _describe(inspected: "Inspected", raw: bytes, output: Path, format_name: str) -> Result:
    bill = inspected.bill
    unread = [
        f"{billed.item}: {reason}"
        for billed in bill.items
        for reason in (
            *billed.facts.licences.unreadable,
            *(text for wheel in billed.facts.wheels.values() for text in wheel.unreadable),
        )
    ]
    digest = hashlib.sha256(raw).hexdigest()
    packages = sum(len(billed.packages) for billed in bill.items)
    data: dict[str, Any] = {
        "bundle": bill.bundle or None,
        "output": str(output),
        "format": format_name,
        "size": len(raw),
        "sha256": digest,
        "items": len(bill.items),
        "packages": packages,
        "unread": unread,
    }
    lines = [
        f"{count_text(len(bill.items), 'item')}, {count_text(packages, 'package')}",
        *(f"not in it: {reason}" for reason in unread),
        f"{output} ({size_text(len(raw))}, {format_name})",
        f"sha256 {digest}",
    ]
    return Result(data, lines)
