"""``airgap archive list``: what an archive keeps, and until when."""

from typing import TYPE_CHECKING, Any

import click

from airgap.cli.help import HelpCommand
from airgap.cli.output import Result, answers, count_text, location_options
from airgap.cli.terminal import ClaimLine, Line
from airgap.errors import CorruptError, MissingError

if TYPE_CHECKING:
    from airgap.flow.location.connector import Connector

_SHOWN = 10


@click.command(name="list", cls=HelpCommand)
@click.argument("archive", metavar="ARCHIVE")
@answers
@location_options
def list_(*, archive: str, connector: "Connector") -> Result:
    """List the bundles of ARCHIVE: until when each is kept, its class and its holds.

    Those that end first come first, and what was let go comes last. Exits with 10 if a record is
    damaged, and with 13 if a manifest is gone that must be kept.
    """
    from airgap.flow.archive.describe import describe_listing, list_archive
    from airgap.flow.location.location import parse_depot

    location = parse_depot(archive)
    listing = list_archive(location, connector)
    lines: list[Line] = [line for row in listing.bundles for line in _list_lines(row)]
    if listing.unarchived:
        lines.append(f"{count_text(len(listing.unarchived), 'bundle')} without a record:")
        lines += [f"  {bundle}" for bundle in listing.unarchived[:_SHOWN]]
    lines += [ClaimLine(f"DAMAGED {file}: {why}") for file, why in listing.damaged.items()]
    is_lost = any(row["kept"] and not row["present"] for row in listing.bundles)
    code = MissingError.exit_code if is_lost else 0
    data = describe_listing(location, listing)
    return Result(data, lines, CorruptError.exit_code if listing.damaged else code)


def _list_lines(row: dict[str, Any]) -> list[Line]:
    lines: list[Line] = [f"{_say_standing(row)}  {row['bundle']}"]
    lines += [
        ClaimLine(f"  hold {hold['id'][:16]} since {hold['since']}: {hold['reason']}")
        for hold in row["holds"]
    ]
    if row["kept"] and not row["present"]:
        lines.append("  MISSING: its manifest is gone, and the archive must keep it")
    return lines


def _say_standing(row: dict[str, Any]) -> str:
    if not row["kept"]:
        return "let go" if row["present"] else "let go and deleted"
    if row["keep_until"] is None:
        return "kept under a hold"
    return f"kept until {row['keep_until']} ({', '.join(row['classes'])})"
